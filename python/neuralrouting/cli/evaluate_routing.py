"""`neuralrouting eval routing`: how well prompts can be routed between models whose outcomes are known."""

import sys
from pathlib import Path
from typing import Any

import click

from neuralrouting.cli.options import bundled, json_option
from neuralrouting.cli.show import print_json, print_table

# Everything else is imported where it is used, so that `--help` starts fast.
# `\b` is click's mark for lines that it must not wrap.
# ruff: noqa: D301, PLC0415


@click.command("routing")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@bundled(
    "asked",
    click.option("--train", type=click.Path(exists=True, dir_okay=False, path_type=Path), help="Labelled rows."),
    click.option("--pair", metavar="CHEAP:PREMIUM", help="Judge this pair of models."),
    click.option("--reference", metavar="NAME", help="Whose answers count as good; else gpt-4o, else the best."),
    click.option("--models", metavar="A,B", help="Models that compete; else all that most rows have."),
    click.option("--labels", type=click.IntRange(1), help="Learn from so many rows; else all, or 70 % of FILE."),
    click.option("--seed", type=int, default=0, show_default=True, help="Decides the split and what is drawn."),
)
@json_option
def routing(file: Path, asked: dict[str, Any], *, as_json: bool) -> None:
    """Tell what routing FILE's prompts would save and lose, learned from labelled rows, beside the plain alternatives.

    A row is a JSON object: prompt, and models, which holds for each model q (quality, 0 to 1) and usd; where usd is
    missing, in_tok and out_tok are priced by today's list. Without --train the file is split by a hash of its prompts.
    How much is offloaded is fixed on the labelled rows, by an 80 % bound of the loss; the other rows only judge it.

    \b
      neuralrouting eval routing outcomes.jsonl
      neuralrouting eval routing new.jsonl --train labelled.jsonl --pair llama-3.1-8b:gpt-4o
      neuralrouting eval routing outcomes.jsonl --models gpt-4o-mini,gpt-4o --labels 1500 --json | jq .save_at_1pct
    """
    from neuralrouting.evaluation.routing import Ask, evaluate

    ask = Ask(
        file,
        train=asked.get("train"),
        pair=_pair(asked.get("pair")),
        reference=asked.get("reference"),
        models=tuple(name.strip() for name in asked.get("models", "").split(",") if name.strip()),
        labels=asked.get("labels"),
        seed=asked["seed"],
    )
    if ask.pair and (ask.models or ask.reference):
        raise click.UsageError("--pair names both models: leave --models and --reference out")
    report = evaluate(ask, _tell)
    if as_json:
        print_json(report)
    else:
        _show(report)


def _pair(text: str | None) -> tuple[str, str] | None:
    if text is None:
        return None
    cheap, _, premium = text.rpartition(":")
    if not cheap or not premium or cheap == premium:
        raise click.UsageError("--pair takes two models: CHEAP:PREMIUM")
    return cheap, premium


def _tell(step: str) -> None:
    """Show how far it has come to who watches."""
    if sys.stderr.isatty():
        click.echo(f"\r\033[K{step}", err=True, nl=step == "judging")


def _show(report: dict[str, Any]) -> None:
    for notice in report["notices"]:
        click.echo(f"note: {notice}", err=True)
    point, controls = report["save_at_1pct"], report["controls"]
    reference = report["reference"]
    click.echo(
        f"{report['rows']:,} prompts judged, {report['labels']:,} learned from; compared with asking {reference}.\n"
    )
    between = point["interval"]
    rows = [["this router", _percent(point["saved"]), _percent(point["loss"]), _span(between["loss"])]]
    rows += [
        [name.replace("_", " "), _percent(row["saved"]), _percent(row["loss"]), ""] for name, row in controls.items()
    ]
    print_table(["", "cost saved", "quality lost", "95 % interval"], rows)
    promised = point["promised"]
    click.echo(
        f"\nfrozen beforehand: price of quality {point['threshold']:g}, promised {_percent(promised['saved'])} saved at"
        f" no more than {_percent(promised['loss_upper'])} lost (one-sided {100 * promised['level']:g} % bound)"
    )
    shares = ", ".join(f"{name} {_percent(share)}" for name, share in point["by_model"].items())
    click.echo(f"offloaded {_percent(point['offload_requests'])} of requests: {shares}")
    click.echo(f"offloaded {_percent(point['offload_tokens'])} of tokens")
    if report["oracle_gap_closed"] is not None:
        click.echo(
            f"of what perfect foresight would save beyond a fixed split: {_percent(report['oracle_gap_closed'])}"
        )
    cheap, premium = report["pair"]
    cpt = ", ".join(f"{share:g} % for {percent} %" for percent, share in report["cpt"].items())
    click.echo(
        f"{cheap} to {premium}: APGR {report['apgr']:.3f} (random 0.5, shuffled {controls['shuffled']['apgr']:.3f})"
    )
    click.echo(f"premium calls needed for a share of the quality gap: {cpt}")


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %"


def _span(pair: list[float]) -> str:
    return f"{100 * pair[0]:.1f} to {100 * pair[1]:.1f} %"
