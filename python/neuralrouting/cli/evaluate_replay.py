"""`neuralrouting eval replay`: send a file of outcomes through the confidence matrix as if it were traffic."""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from neuralrouting.cli.options import bundled, json_option
from neuralrouting.cli.show import print_json, print_table

# Everything else is imported where it is used, so that `--help` starts fast.
# `\b` is click's mark for lines that it must not wrap.
# ruff: noqa: D301, PLC0415

if TYPE_CHECKING:
    from neuralrouting.evaluation.replay import Drift, Predictor, ReplaySettings
    from neuralrouting.evaluation.replay_table import ReplayTable

_share = click.FloatRange(0, 1)


@click.command("replay")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@bundled(
    "models",
    click.option("--models", metavar="A,B,...", help="Models that take part; all with price and outcome if not given."),
    click.option("--reference", metavar="NAME", help="Whose answers count as good; the best of them if not given."),
    click.option("--pair", metavar="CHEAP:PREMIUM", help="One candidate and its reference."),
    click.option("--price", "prices", multiple=True, metavar="MODEL=IN/OUT", help="USD per million tokens."),
    click.option("--cells", type=click.Choice(["subject", "task", "classifier"]), help="What makes the cells."),
)
@bundled(
    "run",
    click.option("--requests", type=click.IntRange(1), default=60_000, show_default=True, help="Requests to replay."),
    click.option("--seed", type=int, default=1, show_default=True, help="Of the first replay."),
    click.option("--seeds", type=click.IntRange(1), default=1, show_default=True, help="How many, each with the next."),
    click.option("--rebuild-every", type=click.IntRange(1), default=1_000, show_default=True, help="In requests."),
    click.option("--judge-flips", type=_share, default=0.0, show_default=True, help="Share of wrong verdicts."),
    click.option("--checked", type=click.IntRange(0), default=100, show_default=True, help="Audits people check."),
    click.option("--drift", metavar="MODEL:BECOMES@REQUEST", help="A model that silently becomes another."),
    click.option("--predict", is_flag=True, default=None, help="Predict each prompt from the audits, cross-fitted."),
)
@bundled(
    "matrix",
    click.option("--audit-rate", type=_share, default=0.1, show_default=True, help="Share of requests to audit."),
    click.option("--margin", type=_share, default=0.05, show_default=True, help="How much worse is still good."),
    click.option("--budget", type=_share, help="Quality that the account may lose in sum."),
)
@json_option
def replay(file: Path, models: dict[str, Any], run: dict[str, Any], matrix: dict[str, Any], *, as_json: bool) -> None:
    """Tell what the confidence matrix would have saved and lost on FILE, audits charged, and how soon.

    A row is a JSON object: prompt, models {name: {q, usd, in_tok, out_tok}}, and where you like subject or task. The
    rows are streamed as traffic, in a new order each time they are through; the matrix sees audits only.

    \b
      neuralrouting eval replay rows.jsonl --requests 60000 --audit-rate 0.1 --seed 1 --json
      neuralrouting eval replay rows.jsonl --pair small:large --judge-flips 0.1 --seeds 5
      neuralrouting eval replay rows.jsonl --drift small:smaller@30000
    """
    from neuralrouting.evaluation.replay_report import report
    from neuralrouting.evaluation.replay_table import OutcomeRow
    from neuralrouting.evaluation.rows import read_rows

    rows: list[OutcomeRow] = read_rows(file, OutcomeRow)
    table = _table(rows, models)
    for name in table.left_out:
        click.echo(f"{name} is left out: not every row has its outcome and price (--price MODEL=IN/OUT)", err=True)
    told = report(
        table, _settings(run), _matrix(matrix), _predictor(table, wanted=run.get("predict", False)), _progress(run)
    )
    if as_json:
        print_json(told)
    else:
        _show(told)


def _table(rows: list[Any], models: dict[str, Any]) -> "ReplayTable":
    """Turn the options about models into the table; refuses those that do not belong together."""
    from neuralrouting.evaluation.replay_table import replay_table

    named = [name for name in models.get("models", "").split(",") if name]
    reference = models.get("reference")
    if "pair" in models:
        if named or reference:
            raise click.UsageError("--pair says which models take part; leave --models and --reference out")
        cheap, colon, reference = models["pair"].partition(":")
        if not (cheap and colon and reference):
            raise click.UsageError("--pair is CHEAP:PREMIUM")
        named = [cheap]
    prices = dict(_price(text) for text in models.get("prices", ()))
    return replay_table(rows, named, reference, models.get("cells"), prices)


def _price(text: str) -> tuple[str, tuple[float, float]]:
    name, equals, both = text.rpartition("=")
    into, slash, out = both.partition("/")
    try:
        if equals and slash:
            return name, (float(into), float(out))
    except ValueError:
        pass
    raise click.UsageError(f"--price is MODEL=IN/OUT, in USD per million tokens, not {text!r}")


def _settings(run: dict[str, Any]) -> "list[ReplaySettings]":
    """One replay for each seed."""
    from neuralrouting.evaluation.replay import ReplaySettings

    drift = _drift(run["drift"]) if "drift" in run else None
    return [
        ReplaySettings(
            requests=run["requests"],
            seed=seed,
            every=run["rebuild_every"],
            flips=run["judge_flips"],
            checked=run["checked"],
            drift=drift,
        )
        for seed in range(run["seed"], run["seed"] + run["seeds"])
    ]


def _drift(text: str) -> "Drift":
    from neuralrouting.evaluation.replay import Drift

    change, at, request = text.rpartition("@")
    model, colon, becomes = change.partition(":")
    if not (at and colon and model and becomes and request.isdecimal()):
        raise click.UsageError("--drift is MODEL:BECOMES@REQUEST")
    return Drift(model, becomes, int(request))


def _matrix(given: dict[str, Any]) -> Any:  # noqa: ANN401  settings, whose module is imported late
    import msgspec

    from neuralrouting.evidence.matrix import MatrixSettings

    settings = MatrixSettings(audit=given["audit_rate"], margin=given["margin"])
    floor = min(settings.floor, settings.audit)
    return msgspec.structs.replace(settings, floor=floor, budget=given.get("budget", settings.budget))


def _predictor(table: "ReplayTable", *, wanted: bool) -> "Callable[[], Predictor | None]":
    if not wanted:
        return lambda: None
    from neuralrouting.evaluation.replay_predictor import RidgePredictor

    return lambda: RidgePredictor(table)


def _progress(run: dict[str, Any]) -> Callable[[int], None]:
    """Show how far it has come to who watches."""
    total = run["requests"] * run["seeds"]

    def tell(done: int) -> None:
        if sys.stderr.isatty():
            end = "\r\033[K" if done >= total else ""
            click.echo(f"\r{done:,} of {total:,} requests{end}", err=True, nl=False)

    return tell


def _show(told: dict[str, Any]) -> None:
    policies: dict[str, dict[str, Any]] = {"the matrix": told, **told["controls"]}
    head = ["policy", "loss %", "net saved %", "offload %", "wrong cells %"]
    cells = ("loss", "net_saved", "offload", "wrong_cells")
    print_table(head, [[name, *(_percent(own.get(cell)) for cell in cells)] for name, own in policies.items()])
    click.echo(
        f"\naudits: {told['audits']:,.0f} ({_percent(told['audit_share'])} % of the requests), "
        f"{_percent(told['audit_cost'])} % of the reference's bill"
    )
    click.echo(
        f"promoted: {told['promoted_cells']:g} of {told['pairs']:g} cells, partly sent {told['partly_sent_cells']:g}"
    )
    click.echo(f"90 % of the steady saving after {_count(told['time_to_90pct'])} requests")
    if told["recovery_requests"] is not None:
        click.echo(f"recovered {_count(told['recovery_requests'])} requests after the drift")
    for name, own in told["regret"].items():
        click.echo(f"oracle {name}: saved {_percent(own['saved'])} % at {_percent(own['loss'])} % loss")
    click.echo(
        f"reference {told['reference']}, cells by {told['cells']['by']}, {told['rows']:,} rows, seeds {told['seeds']}"
    )


def _percent(share: float | None) -> str:
    return "" if share is None else f"{100 * share:.2f}"


def _count(requests: float | None) -> str:
    return "no number of" if requests is None else f"{requests:,.0f}"
