"""What the shield that ships does with labelled attacks and ordinary texts."""

from collections import Counter
from pathlib import Path
from typing import Any

from neuralrouting.engine import Shield
from neuralrouting.evaluation.rows import read_rows
from neuralrouting.evaluation.shield import ShieldRow, evaluate
from neuralrouting.layers.shield import FLAG_RISK

from .weights import taught

CLEAR = "obf_clear"
"""The family of the rows before any transform."""
TEACHING_SCOPES = {"form", "mixed", "benign", "content"}
"""Scopes whose rows may teach the model, where their licence permits it."""
NOISY = {"neuralchemy_encoding", "deepset_mixed"}
"""Families that teach nothing, as in rust/training/shield.rs."""


class Row(ShieldRow, frozen=True):
    """A labelled text with where it comes from, and for a transformed one of what it was made."""

    source: str = ""
    seed: str = ""


def measure(folder: Path, shield: Shield) -> dict[str, Any]:
    """Return the rates on plain rows and on transformed ones."""
    rows = read_rows(folder / "dev.jsonl", Row)
    return {
        "plain": evaluate(rows, shield),
        "taught": _taught(rows),
        "transformed": _transformed(read_rows(folder / "dev_obf.jsonl", Row), shield),
    }


def _taught(rows: list[Row]) -> dict[str, int]:
    """Count the rows, by scope and family, whose source taught the model."""
    sources = taught("shield")
    teachers = (
        row
        for row in rows
        if row.source in sources
        and row.scope in TEACHING_SCOPES
        and row.channel != "system"
        and row.family not in NOISY
    )
    return dict(sorted(Counter(f"{row.scope}/{row.family}" for row in teachers).items()))


def _transformed(rows: list[Row], shield: Shield) -> dict[str, Any]:
    """Measure each transform on the attacks that are flagged without it, and on all harmless texts."""
    clear = [row for row in rows if row.family == CLEAR and row.label == "attack"]
    known = {row.seed for row in clear if shield.scan(row.text).risk >= FLAG_RISK}
    kept = [row for row in rows if row.label != "attack" or row.seed in known]
    return {"seeds": len(clear), "flagged_in_clear": len(known), **evaluate(kept, shield)}
