"""Puts the tables into the hand-written frame."""

from pathlib import Path
from string import Template
from typing import Any

from . import routing_tables, tables
from .bars import Bar, bars, bars_table, families, transforms
from .rates import total

FRAME = Path(__file__).with_name("frame.md")
LIMITS = Path(__file__).with_name("limits.md")


def render(facts: dict[str, Any]) -> str:
    """Return the page."""
    judged = bars(facts)
    semantic = {kind: total(list(families(facts, "semantic", kind).values())).told for kind in ("block", "flag")}
    transformed = facts["shield"]["transformed"]
    return Template(FRAME.read_text()).substitute(
        facts["subject"],
        bars=bars_table(facts),
        met=sum(bar.is_met for bar in judged),
        of=len(judged),
        limits=_limits(judged),
        scopes=tables.scopes(facts),
        form=tables.form(facts),
        families=tables.every_family(facts),
        seeds=transformed["seeds"],
        flagged_in_clear=transformed["flagged_in_clear"],
        transformed=tables.transformed(facts),
        transforms=len(transforms(facts)),
        tasks=tables.tasks(facts),
        selective=tables.selective(facts),
        confusion=tables.confusion(facts),
        complexity=tables.complexity(facts),
        rankings=tables.rankings(facts),
        risks=tables.risks(facts),
        calm=tables.calm(facts),
        embedder=facts["cache"]["builtin"]["qqp"]["embedder"],
        cache=tables.cache(facts),
        levels=tables.levels(facts),
        refusals=tables.refusals(facts),
        latency=tables.latency(facts),
        hostile=tables.hostile(facts),
        learned=routing_tables.learned(facts),
        controls=routing_tables.controls(facts),
        tiers=routing_tables.tiers(facts),
        replays=routing_tables.replays(facts),
        replay_controls=routing_tables.replay_controls(facts),
        hard=routing_tables.hard(facts),
        mix=routing_tables.mix(facts),
        mix_loss=f"{100 * routing_tables.mixed_loss(facts):.2f} %",
        decision=routing_tables.decision(facts),
        splits=len(facts["routing"]["tiers"]["loss"]),
        semantic_block=semantic["block"],
        semantic_flag=semantic["flag"],
    )


def _limits(judged: list[Bar]) -> str:
    """Say of each bar that is not met what limits it, in words of `limits.md`: a line of `what: why` each."""
    reasons = dict(line[2:].split(" :: ", 1) for line in LIMITS.read_text().splitlines() if line.startswith("- "))
    missed = [bar.what for bar in judged if not bar.is_met]
    told = [f"- **{what}**: {reasons.get(what, 'not yet understood.')}" for what in missed]
    return "\n".join(told) or "None."
