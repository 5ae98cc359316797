"""Measures the classifier on labelled prompts: task type, high risk, and the time that both take."""

import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from neuralrouting.engine import Classification, classify

# Shares of the prompts that a selective classifier answers, in percent.
COVERAGES = (50, 70, 90)
# False positives that the comparison between sources allows.
FALSE_POSITIVE_SHARE = 0.05


@dataclass(frozen=True, slots=True)
class Judged:
    """One row with what the classifier said about it."""

    row: Mapping[str, Any]
    found: Classification
    took_ns: int

    @property
    def source(self) -> str:
        """Where the row comes from."""
        return str(self.row.get("source") or "unknown")


def evaluate(rows: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """Classify each row's `prompt` and compare with its `label`, or with its `high_risk` and `domain`."""
    judged = [_judge(row) for row in rows]
    return {
        "task": _task([one for one in judged if one.row.get("label") is not None]),
        "risk": _risk([one for one in judged if one.row.get("high_risk") is not None]),
        "latency_us": _latency([one.took_ns for one in judged]),
    }


def _judge(row: Mapping[str, Any]) -> Judged:
    prompt = str(row["prompt"])
    started_ns = time.perf_counter_ns()
    found = classify(prompt)
    return Judged(row, found, time.perf_counter_ns() - started_ns)


def _task(judged: Sequence[Judged]) -> dict[str, Any]:
    pairs = [(str(one.row["label"]), one.found.task) for one in judged]
    per_source: defaultdict[str, list[tuple[str, str]]] = defaultdict(list)
    for one, pair in zip(judged, pairs, strict=True):
        per_source[one.source].append(pair)
    return {
        "n": len(pairs),
        "accuracy": _accuracy(pairs),
        "macro_f1": _macro_f1(pairs),
        "abstained": _share(one.found.abstained for one in judged),
        "selective": {str(percent): _selective(judged, percent) for percent in COVERAGES},
        "per_source": {
            source: {"n": len(own), "accuracy": _accuracy(own), "macro_f1": _macro_f1(own)}
            for source, own in sorted(per_source.items())
        },
        "confusion": _confusion(pairs),
    }


def _accuracy(pairs: Sequence[tuple[str, str]]) -> float | None:
    return _share(label == found for label, found in pairs)


def _macro_f1(pairs: Sequence[tuple[str, str]]) -> float | None:
    """The mean over the labels that occur, so that a rare one counts as much as a common one."""
    right = Counter(label for label, found in pairs if label == found)
    labels = Counter(label for label, _ in pairs)
    answers = Counter(found for _, found in pairs)
    scores = [2 * right[label] / (labels[label] + answers[label]) for label in labels]
    return round(sum(scores) / len(scores), 4) if scores else None


def _selective(judged: Sequence[Judged], percent: int) -> float | None:
    """Accuracy on the most confident part."""
    by_confidence = sorted(judged, key=lambda one: -one.found.confidence)
    kept = by_confidence[: len(judged) * percent // 100]
    return _accuracy([(str(one.row["label"]), one.found.task) for one in kept])


def _confusion(pairs: Sequence[tuple[str, str]]) -> dict[str, dict[str, int]]:
    counts: defaultdict[str, Counter[str]] = defaultdict(Counter)
    for label, found in pairs:
        counts[label][found] += 1
    return {label: dict(sorted(counts[label].items())) for label in sorted(counts)}


def _risk(judged: Sequence[Judged]) -> dict[str, Any]:
    high = [one for one in judged if one.row["high_risk"]]
    calm = [one for one in judged if not one.row["high_risk"]]
    threshold = _threshold([one.found.risk_probability for one in calm])
    return {
        "n": len(judged),
        "recall": _share(one.found.high_risk for one in high),
        "fpr": _share(one.found.high_risk for one in calm),
        "recall_at_5_percent_fpr": _recall_above(high, threshold),
        "per_source": _grouped(high, threshold, lambda one: one.source),
        "per_domain": _grouped(high, threshold, lambda one: str(one.row.get("domain") or "unknown")),
        "fpr_per_source": {
            source: {"n": len(own), "fpr": _share(one.found.high_risk for one in own)}
            for source, own in _by(calm, lambda one: one.source).items()
        },
        "domain_accuracy": _domain_accuracy(high),
    }


def _threshold(calm: Sequence[float]) -> float | None:
    """The probability that five percent of the calm prompts exceed; none without calm prompts."""
    if not calm:
        return None
    allowed = int(len(calm) * FALSE_POSITIVE_SHARE)
    return sorted(calm, reverse=True)[allowed]


def _recall_above(high: Sequence[Judged], threshold: float | None) -> float | None:
    return None if threshold is None else _share(one.found.risk_probability > threshold for one in high)


def _grouped(
    high: Sequence[Judged], threshold: float | None, key: Callable[[Judged], str]
) -> dict[str, dict[str, Any]]:
    return {
        name: {
            "n": len(own),
            "recall": _share(one.found.high_risk for one in own),
            "recall_at_5_percent_fpr": _recall_above(own, threshold),
        }
        for name, own in _by(high, key).items()
    }


def _by(judged: Sequence[Judged], key: Callable[[Judged], str]) -> dict[str, list[Judged]]:
    groups: defaultdict[str, list[Judged]] = defaultdict(list)
    for one in judged:
        groups[key(one)].append(one)
    return dict(sorted(groups.items()))


def _domain_accuracy(high: Sequence[Judged]) -> float | None:
    """Among flagged prompts with a known domain; harm to oneself is a matter of mental health."""
    flagged = [one for one in high if one.found.high_risk and one.row.get("domain")]
    renamed = {"self_harm": "mental_health"}
    return _share(renamed.get(str(one.row["domain"]), one.row["domain"]) == one.found.risk_domain for one in flagged)


def _share(flags: Iterable[bool]) -> float | None:
    counted = Counter(flags)
    total = counted.total()
    return round(counted[True] / total, 4) if total else None


def _latency(took_ns: Sequence[int]) -> dict[str, float | None]:
    ordered = sorted(took_ns)
    at = {"p50": 0.5, "p99": 0.99}
    return {name: round(ordered[int(len(ordered) * q)] / 1000, 2) if ordered else None for name, q in at.items()}
