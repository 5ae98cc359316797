"""Block and flag rates of the shield on labelled rows, by scope and by family, and its latency."""

import time
from collections.abc import Iterable
from typing import Any, Literal

import msgspec

from neuralrouting.engine import Shield
from neuralrouting.intervals import percentile, wilson
from neuralrouting.layers.shield import FLAG_RISK

_SIZES = ((1_024, "1KB"), (8_192, "8KB"), (65_536, "64KB"), (1_048_576, "1MB"))
"""Largest UTF-8 size in bytes of each class of texts; what is larger is called `larger`."""


class ShieldRow(msgspec.Struct, frozen=True):
    """One labelled text. Without `scope` its label counts as one; without `family` its scope."""

    text: str
    label: str
    scope: str | None = None
    family: str | None = None
    channel: Literal["user", "tool", "assistant", "system"] = "user"


class _Count:
    """Rows seen, and how many of them were flagged (which includes those blocked) and blocked."""

    __slots__ = ("block", "flag", "n")

    def __init__(self) -> None:
        self.n = self.flag = self.block = 0

    def see(self, risk: float, threshold: float) -> None:
        self.n += 1
        self.flag += risk >= FLAG_RISK
        self.block += risk >= threshold

    def facts(self) -> dict[str, Any]:
        return {
            "n": self.n,
            "block": round(self.block / self.n, 6),
            "flag": round(self.flag / self.n, 6),
            "block_interval": [round(bound, 6) for bound in wilson(self.block, self.n)],
            "flag_interval": [round(bound, 6) for bound in wilson(self.flag, self.n)],
        }


def evaluate(rows: Iterable[ShieldRow], shield: Shield, threshold: float = 0.85) -> dict[str, Any]:
    """Scan every row and count: blocked is a risk of `threshold` or more whatever the channel.

    System rows are not scanned, as in a request: they count as neither and in `n_unscanned`. Rates are from 0 to 1.
    """
    scopes: dict[str, _Count] = {}
    families: dict[tuple[str, str], _Count] = {}
    times: dict[str, list[float]] = {}
    unscanned = 0
    for row in rows:
        scope = row.scope or row.label
        risk = 0.0
        if row.channel == "system":
            unscanned += 1
        else:
            risk, latency_us = _scan(shield, row)
            times.setdefault(_size(row.text), []).append(latency_us)
        for count in (
            scopes.setdefault(scope, _Count()),
            families.setdefault((scope, row.family or scope), _Count()),
        ):
            count.see(risk, threshold)
    by_family = _by_family(families)
    return {
        "pack": shield.hash,
        "threshold": threshold,
        "n": sum(count.n for count in scopes.values()),
        "n_unscanned": unscanned,
        "scopes": {scope: count.facts() for scope, count in sorted(scopes.items())},
        "families": by_family,
        "macro": {scope: _macro(by_family, scope) for scope in sorted(scopes)},
        "latency_us": _latency(times),
    }


def _scan(shield: Shield, row: ShieldRow) -> tuple[float, float]:
    """Return the risk and the microseconds that it took."""
    started_ns = time.perf_counter_ns()
    risk = shield.scan(row.text, channel=row.channel).risk
    return risk, (time.perf_counter_ns() - started_ns) / 1000


def _size(text: str) -> str:
    size = len(text.encode())
    return next((name for limit, name in _SIZES if size <= limit), "larger")


def _by_family(families: dict[tuple[str, str], _Count]) -> dict[str, dict[str, Any]]:
    """Name each family, with its scope in front where several scopes have one of that name."""
    names = [family for _, family in families]
    return {
        (family if names.count(family) == 1 else f"{scope}/{family}"): {"scope": scope, **count.facts()}
        for (scope, family), count in sorted(families.items())
    }


def _macro(families: dict[str, dict[str, Any]], scope: str) -> dict[str, Any]:
    """The mean over a scope's families: a large one does not hide a small one."""
    rows = [facts for facts in families.values() if facts["scope"] == scope]
    means = {kind: round(sum(row[kind] for row in rows) / len(rows), 6) for kind in ("block", "flag")}
    return {"families": len(rows), **means}


def _latency(times: dict[str, list[float]]) -> dict[str, Any]:
    every = [latency_us for taken in times.values() for latency_us in taken]
    names = [name for _, name in _SIZES] + ["larger"]
    by_size = {name: {"n": len(times[name]), **_percentiles(times[name])} for name in names if name in times}
    return {**_percentiles(every), "by_size": by_size}


def _percentiles(taken: list[float]) -> dict[str, float]:
    return {"p50": round(percentile(taken, 0.5), 2), "p99": round(percentile(taken, 0.99), 2)}
