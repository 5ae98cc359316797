"""`neuralrouting eval`: measure the layers that judge, on labelled rows of one's own."""

import os
import sys
from collections.abc import Iterable, Iterator, Sequence
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Literal, TypeVar, cast

import click

from neuralrouting.cli.evaluate_replay import replay
from neuralrouting.cli.evaluate_routing import routing
from neuralrouting.cli.options import Commands, bundled, json_option, text_of
from neuralrouting.cli.show import pair_cells, print_json, print_table, rate_cells

# Everything else is imported where it is used, so that `--help` starts fast.
# `\b` is click's mark for lines that it must not wrap.
# ruff: noqa: D301, PLC0415

if TYPE_CHECKING:
    from neuralrouting.config import SemanticCacheConfig
    from neuralrouting.evaluation.cache import CacheRow, CacheTrial, Outcome, Verifier

_Row = TypeVar("_Row")
_file = click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
PROGRESS_ROWS = 500
"""Rows between two signs of life."""
KEY_VARIABLE = "SEMANTIC_CACHE_API_KEY"
"""Where the key of an embeddings endpoint is read from, as a gateway does: on a command line others would see it."""
PATIENCE_MS = 10_000.0
"""What the second embedder may take here, where how well it decides is asked and not how fast."""


@click.group("eval", cls=Commands)
def evaluate() -> None:
    """Measure the shield, the cache, the classifier and the router on rows of your own.

    \b
      neuralrouting eval shield rows.jsonl
      neuralrouting eval routing outcomes.jsonl
      neuralrouting eval cache pairs.jsonl
      neuralrouting eval classify rows.jsonl --json
      neuralrouting eval replay outcomes.jsonl --seeds 3
    """


evaluate.add_command(replay)
evaluate.add_command(routing)


@evaluate.command("shield")
@_file
@click.option("--threshold", type=click.FloatRange(0.5, 1), default=0.85, show_default=True, help="Risk that blocks.")
@click.option("--rules", type=click.File("rb"), help="TOML rules on top of the built-in ones.")
@click.option("--no-model", is_flag=True, help="Leave the linear model out.")
@json_option
def shield(file: Path, threshold: float, rules: BinaryIO | None, *, no_model: bool, as_json: bool) -> None:
    """Tell how many rows of FILE are blocked and flagged, by scope and family, and how long that takes.

    A row is a JSON object: text, label, and where you like scope (else the label), family, channel (user, tool,
    assistant; system is not scanned). Rates are in percent, with 95 % Wilson intervals.

    \b
      neuralrouting eval shield rows.jsonl --json | jq .scopes
    """
    from neuralrouting.engine import compile_rules
    from neuralrouting.evaluation.rows import read_rows
    from neuralrouting.evaluation.shield import ShieldRow, evaluate

    overlays = [(rules.name, text_of(rules))] if rules is not None else []
    compiled = compile_rules(*overlays, model=not no_model)
    rows: list[ShieldRow] = read_rows(file, ShieldRow)
    report = evaluate(_watched(rows), compiled, threshold)
    if as_json:
        print_json(report)
    else:
        _show_shield(report)


@evaluate.command("cache")
@_file
@bundled(
    "embedder",
    click.option("--embedder", type=click.Choice(["builtin", "onnx", "openai"]), help="Who has the last word."),
    click.option("--model-path", metavar="DIR", help="Folder of the ONNX model."),
    click.option("--url", help="Embeddings endpoint, ending in /v1."),
    click.option("--model", help="Model that the endpoint is asked for."),
)
@click.option(
    "--threshold", type=click.FloatRange(0, 1), default=0.92, show_default=True, help="Least cosine that is served."
)
@click.option(
    "--verifier", type=click.Choice(["strict", "std", "off"]), default="strict", show_default=True,
    help="What else must agree.",
)  # fmt: skip
@bundled(
    "into",
    click.option("--wrong", type=click.Path(dir_okay=False, path_type=Path), help="Write the pairs served wrongly."),
    click.option("--missed", type=click.Path(dir_okay=False, path_type=Path), help="Write true pairs not served."),
)
@json_option
def cache(
    file: Path,
    embedder: dict[str, str],
    threshold: float,
    verifier: "Verifier",
    into: dict[str, Path],
    *,
    as_json: bool,
) -> None:
    """Tell how many pairs of FILE the cache takes for one question, rightly and wrongly, and how long that takes.

    A row is a JSON object: two questions a and b, same_answer (1 or 0), and where you like category. An answer to a is
    stored, b is asked. Rates are in percent, with 95 % Wilson intervals. An embedder other than builtin decides where
    the built-in one comes near; the key of an endpoint is read from SEMANTIC_CACHE_API_KEY.

    \b
      neuralrouting eval cache pairs.jsonl --json | jq .wrong_false
      neuralrouting eval cache pairs.jsonl --wrong wrong.jsonl
      neuralrouting eval cache pairs.jsonl --embedder onnx --model-path ~/all-MiniLM-L6-v2
      neuralrouting eval cache pairs.jsonl --embedder openai --url http://127.0.0.1:8081/v1 --model bge-small
    """
    import asyncio

    from neuralrouting.evaluation.cache import CacheRow, missed, report, wrong
    from neuralrouting.evaluation.rows import read_rows

    rows: list[CacheRow] = read_rows(file, CacheRow)
    outcomes, trial = asyncio.run(_tried(rows, _embedder(embedder), threshold, verifier))
    for name, pairs in (("wrong", wrong(outcomes)), ("missed", missed(outcomes))):
        if name in into:
            _write_rows(into[name], pairs)
    told = report(outcomes, trial)
    if as_json:
        print_json(told)
    else:
        _show_cache(told)


def _embedder(given: dict[str, str]) -> "SemanticCacheConfig":
    """Turn the options into settings as a gateway has them; refuses those that do not belong together."""
    from neuralrouting.config import Secret, SemanticCacheConfig

    kind = cast('Literal["builtin", "onnx", "openai"]', given.get("embedder", "builtin"))
    needed = {"builtin": (), "onnx": ("model_path",), "openai": ("url", "model")}[kind]
    for name in ("model_path", "url", "model"):
        option = f"--{name.replace('_', '-')}"
        if name in needed and name not in given:
            raise click.UsageError(f"--embedder {kind} needs {option}")
        if name in given and name not in needed:
            raise click.UsageError(f"{option} is of no use with --embedder {kind}")
    key = os.environ.get(KEY_VARIABLE)
    return SemanticCacheConfig(
        embedder=kind,
        model_path=given.get("model_path"),
        url=given.get("url"),
        model=given.get("model"),
        api_key=Secret(key) if key else None,
        timeout_ms=PATIENCE_MS,
    )


async def _tried(
    rows: Sequence["CacheRow"], embedder: "SemanticCacheConfig", threshold: float, verifier: "Verifier"
) -> tuple[list["Outcome"], "CacheTrial"]:
    from neuralrouting.evaluation.cache import CacheTrial
    from neuralrouting.providers.deciders import open_decider
    from neuralrouting.providers.http import HttpClient

    http = HttpClient()
    try:
        async with open_decider(embedder, http) as decider:
            trial = CacheTrial(threshold=threshold, verifier=verifier, decider=decider)
            return [await trial.judge(row) for row in _watched(rows)], trial
    finally:
        await http.close()


def _write_rows(file: Path, rows: Sequence[dict[str, Any]]) -> None:
    import orjson

    file.write_bytes(b"".join(orjson.dumps(row, option=orjson.OPT_APPEND_NEWLINE) for row in rows))


@evaluate.command("classify")
@_file
@json_option
def classify(file: Path, *, as_json: bool) -> None:
    """Tell how often the classifier is right about FILE: task type, high risk, latency.

    A row is a JSON object: prompt, and label (the task type) or high_risk and domain.

    \b
      neuralrouting eval classify rows.jsonl --json | jq .task
    """
    from neuralrouting.evaluation.rows import read_rows

    rows = read_rows(file, dict[str, Any])
    report: dict[str, Any] = import_module("neuralrouting.evaluation.classify").evaluate(rows)
    if as_json:
        print_json(report)
    else:
        print_table(["figure", "value"], [[name, f"{value:g}"] for name, value in _figures(report, "")])


def _watched(rows: Sequence[_Row]) -> Iterator[_Row]:
    """Hand the rows on, and show how far it has come to who watches."""
    watched = sys.stderr.isatty()
    for place, row in enumerate(rows):
        if watched and place % PROGRESS_ROWS == 0:
            click.echo(f"\r{place:,} of {len(rows):,} rows", err=True, nl=False)
        yield row
    if watched:
        click.echo("\r\033[K", err=True, nl=False)


def _show_shield(report: dict[str, Any]) -> None:
    head = ["", "scope", "rows", "blocked %", "flagged %"]
    for kind in ("scopes", "families"):
        print_table([kind, *head[1:]], [rate_cells(name, row) for name, row in report[kind].items()])
        click.echo()
    macro = [
        [scope, str(row["families"]), f"{100 * row['block']:.2f}", f"{100 * row['flag']:.2f}"]
        for scope, row in report["macro"].items()
    ]
    print_table(["mean over families", "families", "blocked %", "flagged %"], macro)
    latency = report["latency_us"]
    click.echo(f"\nlatency: p50 {latency['p50']:.1f} us, p99 {latency['p99']:.1f} us")
    click.echo(f"threshold {report['threshold']:g}, {report['n_unscanned']:,} rows not scanned, pack {report['pack']}")


def _show_cache(report: dict[str, Any]) -> None:
    head = ["category", "pairs", "same answer: served %", "other answer: served %"]
    whole = {"all pairs": report, **report["by_category"]}
    print_table(head, [pair_cells(name, row) for name, row in whole.items()])
    click.echo()
    levels = [[kind, str(row["true"]), str(row["false"])] for kind, row in report["by_kind"].items()]
    print_table(["served by level", "rightly", "wrongly"], levels)
    click.echo()
    reasons = [[why, str(n), str(report["missed_true"].get(why, 0))] for why, n in report["refused"].items()]
    print_table(["not served because", "pairs", "of these with the same answer"], reasons)
    for name, what in (("lookup_us", "look-up"), ("decide_us", "second embedder")):
        if name in report and report[name]["p50"] is not None:
            click.echo(f"{what}: p50 {report[name]['p50']:.1f} us, p99 {report[name]['p99']:.1f} us")
    click.echo(f"threshold {report['threshold']:g}, verifier {report['verifier']}, embedder {report['embedder']}")


def _figures(report: dict[str, Any], path: str) -> Iterable[tuple[str, float]]:
    """The numbers of a nested report by their path."""
    for name, value in report.items():
        if isinstance(value, dict):
            yield from _figures(value, f"{path}{name}.")
        elif isinstance(value, int | float):
            yield f"{path}{name}", value
