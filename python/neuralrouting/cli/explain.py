"""`neuralrouting explain`: what each layer makes of a prompt, and who would answer it at which price."""

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from neuralrouting.cli.options import account_option, bundled, catalog_of, config_option, json_option, load
from neuralrouting.cli.show import print_table

# Everything else is imported where it is used, so that `--help` starts fast.
# `\b` is click's mark for lines that it must not wrap.
# ruff: noqa: D301, PLC0415

if TYPE_CHECKING:
    from neuralrouting.exchange import CandidateNote, Decision, RouteNote

_asked = bundled(
    "asked",
    click.option(
        "--mode", "routing_mode", type=click.Choice(["auto", "cost", "quality", "speed"]), help="How to choose."
    ),
    click.option("--model", help="Ask for this model, not any."),
    click.option("--cascade/--no-cascade", default=None, help="Look at a cheap answer before it is sent, or do not."),
)


@click.command()
@click.argument("prompt")
@_asked
@account_option
@config_option
@json_option
def explain(prompt: str, asked: Mapping[str, Any], account: str, path: Path | None, *, as_json: bool) -> None:
    """Tell who would answer PROMPT (- is standard input) and why: no gateway is needed, nobody is called.

    Rules, plan and shield are the account's. A running gateway knows more: `POST /v1/route/explain` asks it.

    \b
      neuralrouting explain "Prove that the square root of 2 is irrational"
      neuralrouting explain - --mode cost --json < prompt.txt | jq .route.chosen
    """
    import asyncio

    import msgspec

    from neuralrouting.app.explain import explained

    loaded = load(path)
    text = sys.stdin.buffer.read().decode(errors="replace") if prompt == "-" else prompt
    body = {"model": "auto", **asked, "messages": [{"role": "user", "content": text}]}
    decision = asyncio.run(explained(loaded.config, catalog_of(loaded), account, msgspec.json.encode(body)))
    if as_json:
        click.echo(msgspec.json.format(msgspec.json.encode(decision), indent=2))
    else:
        _show(decision)


def _show(decision: "Decision") -> None:
    shield, task, route = decision.shield, decision.task, decision.route
    click.echo(f"shield: {shield.says}, risk {shield.risk:.2f}{_listed(shield.rules)}")
    if task is not None:
        unsure = ", unsure" if task.abstained else ""
        click.echo(f"task: {task.task} ({task.confidence:.2f}{unsure}), complexity {task.complexity:.1f} of 10")
        click.echo(f"high risk: {task.risk or 'no'}")
    told = ", ".join(f"{head} {difference:+.3f}" for head, difference in decision.predicted.items())
    click.echo(f"predicted difference to the reference: {told or 'nothing'}")
    if route is not None:
        _show_route(route)
    if decision.refused is not None:
        click.echo(f"refused: {decision.refused}")


def _show_route(route: "RouteNote") -> None:
    rule = f", rule {route.rule.name!r} (line {route.rule.line})" if route.rule is not None else ""
    cascade = ", cascade" if route.cascade else ""
    click.echo(f"mode: {route.mode}, from {route.source}{rule}{cascade}")
    click.echo(f"decided by: {route.affinity or route.reason}")
    click.echo(f"chosen: {route.chosen}\n")
    head = ["model", "tier", "$ in", "$ out", "$ this", "expected", "n", "basis", "why not first"]
    print_table(head, [_cells(one) for one in route.candidates])
    if route.further:
        click.echo(f"and {route.further} more that could serve it and stood behind these")
    click.echo(f"$ in and out are for a million tokens, $ this for {route.assumed_output_tokens} tokens of answer")


def _cells(one: "CandidateNote") -> list[str]:
    return [
        one.model,
        one.tier,
        "unpriced" if one.input_usd_per_mtok is None else f"{one.input_usd_per_mtok:g}",
        "unpriced" if one.output_usd_per_mtok is None else f"{one.output_usd_per_mtok:g}",
        one.estimated_usd or "unpriced",
        _difference(one),
        str(one.n or ""),
        one.basis or "",
        one.lost or "(first)",
    ]


def _difference(one: "CandidateNote") -> str:
    if one.expected is None:
        return ""
    return f"{one.expected:+.3f}" if one.low is None else f"{one.expected:+.3f} ({one.low:+.3f} to {one.high:+.3f})"


def _listed(rules: tuple[str, ...]) -> str:
    return f" by {', '.join(rules)}" if rules else ""
