"""`neuralrouting eval`: measure the layers that judge, on labelled rows of one's own."""

import sys
from collections.abc import Iterable, Iterator, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any, BinaryIO, TypeVar

import click

from neuralrouting.cli.options import Commands, json_option, text_of
from neuralrouting.cli.show import print_json, print_table, rate_cells

# Everything else is imported where it is used, so that `--help` starts fast.
# `\b` is click's mark for lines that it must not wrap.
# ruff: noqa: D301, PLC0415


_Row = TypeVar("_Row")
_file = click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
PROGRESS_ROWS = 500
"""Rows between two signs of life."""


@click.group("eval", cls=Commands)
def evaluate() -> None:
    """Measure the shield and the classifier on rows of your own.

    \b
      neuralrouting eval shield rows.jsonl
      neuralrouting eval classify rows.jsonl --json
    """


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


def _figures(report: dict[str, Any], path: str) -> Iterable[tuple[str, float]]:
    """The numbers of a nested report by their path."""
    for name, value in report.items():
        if isinstance(value, dict):
            yield from _figures(value, f"{path}{name}.")
        elif isinstance(value, int | float):
            yield f"{path}{name}", value
