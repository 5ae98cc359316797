"""`neuralrouting classify`: what the gateway takes a prompt for."""

import os
import sys
from typing import Any

import click

from neuralrouting.cli.options import json_option
from neuralrouting.cli.show import print_json, print_table, task_facts

# Everything else is imported where it is used, so that `--help` starts fast.
# `\b` is click's mark for lines that it must not wrap.
# ruff: noqa: D301, PLC0415


@click.command()
@click.argument("text")
@json_option
def classify(text: str, *, as_json: bool) -> None:
    """Tell task, complexity and risk of TEXT (- is standard input).

    This is what `auto` goes by: prompts of a complexity above 6, and those that ask for advice where a wrong answer
    could hurt somebody, go to the premium tier. In a request, the turns before the prompt count as well.

    The table tells what spoke for the task, or below zero against it, strongest first.

    \b
      neuralrouting classify "Can I take aspirin with warfarin?"
      neuralrouting classify - --json < prompt.txt | jq .complexity
    """
    from neuralrouting import engine
    from neuralrouting.layers.classification import task_of

    given = sys.stdin.buffer.read() if text == "-" else os.fsencode(text)
    found = engine.classify(given.decode(errors="replace"))
    facts = task_facts(found, task_of(found))
    if as_json:
        print_json(facts)
    else:
        _show(facts)


def _show(facts: dict[str, Any]) -> None:
    from neuralrouting.layers.classification import SURE_OF_RISK

    second = facts["runner_up"]
    likeliest = f"{facts['task']} ({facts['probability']:.2f})"
    doubt = "unsure: " if facts["abstained"] else ""
    click.echo(f"{doubt}{likeliest}, then {second['task']} ({second['probability']:.2f})")
    click.echo(f"complexity {facts['complexity']:.1f} of 10")
    risk = f"{facts['risk_probability']:.2f}; counts from {SURE_OF_RISK:.2f} on"
    click.echo(f"high risk: {facts['risk_domain'] or 'no'} ({risk})\n")
    rows = [[row["evidence"], f"{row['weight']:+.2f}"] for row in facts["contributions"]]
    print_table(["evidence", "weight"], rows)
