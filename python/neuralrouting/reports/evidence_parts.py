"""The parts of a printed report behind its sums: budgets, quality, premium that was not needed, security, method."""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Final

from neuralrouting.api.figures import decimal_usd, short_usd
from neuralrouting.api.premium import NOTHING_PROVEN, SOME_PROVEN, Needless
from neuralrouting.catalog import Price
from neuralrouting.evidence.matrix import Cell
from neuralrouting.exchange import JsonObject
from neuralrouting.intervals import wilson
from neuralrouting.reports.month import Audited, BudgetUse, MonthlyReport
from neuralrouting.reports.wording import NOTHING, plural, rate_percent
from neuralrouting.storage.usage import UsageSums

BUDGETS: Final = 8
MODELS: Final = 5
CELLS: Final = 8
NEEDLESS: Final = 6
RULES: Final = 6
"""Rows of each table: so that two to four pages hold any month."""
_ACTIONS: Final = (
    ("block", "blocked"),
    ("flag", "flagged and let through"),
    ("monitor", "only watched"),
    ("unscanned", "not looked at"),
)
_PICOUSD: Final = 1_000
"""A price in pico-dollars per token is so many nano-dollars per million tokens less: 1,000,000 / 1,000."""
_Name = Callable[[str], str]


def evidence_parts(report: MonthlyReport, name: _Name) -> JsonObject:
    """Return budgets, quality, premium that was not needed and security."""
    return {
        "budgets": _budgets(report.budgets, name),
        "quality": _quality(report, name),
        "premium": _premium(report, name),
        "security": _security(report, name),
    }


def method_parts(report: MonthlyReport, name: _Name) -> JsonObject:
    """Return how the figures were made, and the headline figures to the last digit."""
    return {"method": _method(report, name), "exact": _exact(report)}


def _budgets(uses: Sequence[BudgetUse], name: _Name) -> JsonObject:
    rows = [
        [
            name(use.budget.name),
            _whose(use, name),
            use.budget.period,
            short_usd(use.budget.limit_nanousd),
            short_usd(use.spent.spent_nanousd),
            f"{use.percent:,}%",
            _reached(use),
        ]
        for use in uses[:BUDGETS]
    ]
    return {"rows": rows, "cut": _cut(len(uses), BUDGETS, "budget windows", "nearest their limit")}


def _whose(use: BudgetUse, name: _Name) -> str:
    return use.budget.scope if use.budget.scope == "account" else f"{use.budget.scope} {name(use.spent.subject)}"


def _reached(use: BudgetUse) -> str:
    """Say how often the limit was reached; a period of a month or more has one window."""
    if use.spent.windows <= 1:
        return "reached" if use.spent.over else ""
    return f"{use.spent.over:,} of {plural(use.spent.windows, use.budget.period)}" if use.spent.over else ""


def _quality(report: MonthlyReport, name: _Name) -> JsonObject:
    audited, cells = report.audits, report.proofs.cells
    judged, good = sum(one.judged for one in audited), sum(one.not_worse for one in audited)
    undecided = sum(one.undecided for one in audited)
    settled = sorted(
        (cell for cell in cells if cell.state != "unproven"), key=lambda c: (c.state, -c.n, c.candidate, c.task)
    )
    reference = name(report.proofs.reference) if report.proofs.reference else "the reference model"
    return {
        "text": _audit_text(judged, good, undecided, reference),
        "audits": [_audit_row(one, name) for one in audited[:MODELS]],
        "audits_cut": _cut(len(audited), MODELS, "models", "with most audits"),
        "cells_text": _cells_text(report, cells, settled),
        "cells": [_cell_row(cell, name) for cell in settled[:CELLS]],
        "cells_cut": _cut(len(settled), CELLS, "decided cells", "with most evidence"),
    }


def _audit_text(judged: int, good: int, undecided: int, reference: str) -> str:
    if not judged + undecided:
        return "No answers were audited in this month, so it holds no evidence of quality."
    low, high = wilson(good, judged)
    share = "none could be decided"
    if judged:
        interval = f"95% interval {rate_percent(low)} to {rate_percent(high)}"
        share = f"{good:,} ({rate_percent(good / judged)}; {interval}) were not worse"
    left = f" {plural(undecided, 'more comparison')} could not be decided." if undecided and judged else ""
    return (
        f"Of {plural(judged, 'answer')} of cheaper models that were compared with {reference} behind the requests, "
        f"{share}.{left}"
    )


def _audit_row(one: Audited, name: _Name) -> list[str]:
    low, high = wilson(one.not_worse, one.judged)
    rate = rate_percent(one.not_worse / one.judged) if one.judged else NOTHING
    counts = (one.judged, one.better, one.equal, one.worse)
    return [name(one.model), *(f"{n:,}" for n in counts), rate, f"{rate_percent(low)} to {rate_percent(high)}"]


def _cells_text(report: MonthlyReport, cells: Sequence[Cell], settled: Sequence[Cell]) -> str:
    if report.proofs.built_ms is None or not cells:
        return "No model is proven at any task yet: hard prompts go to the premium tier."
    proven = sum(cell.state == "proven" for cell in settled)
    built = datetime.fromtimestamp(report.proofs.built_ms // 1000, UTC).strftime("%Y-%m-%d")
    pairs, refused = plural(len(cells), "pair"), len(settled) - proven
    return (
        f"Of {pairs} of model and task with audits (all time, as of {built}), {proven:,} are proven to be no more than "
        f"{rate_percent(report.method.margin)} worse than the reference, and {refused:,} are refused. Differences "
        "are in quality, from -1 to 1."
    )


def _cell_row(cell: Cell, name: _Name) -> list[str]:
    between = f"{cell.low:+.3f} to {cell.high:+.3f}"
    return [name(cell.candidate), name(cell.task), cell.state, f"{cell.n:,.0f}", f"{cell.mean:+.3f}", between]


def _premium(report: MonthlyReport, name: _Name) -> JsonObject:
    real = [row for row in report.needless if not row.simulated]
    proven = any(row.evidence is not None and row.evidence.proven for row in real)
    looked = f" The newest {report.examined:,} requests were looked at." if report.examined is not None else ""
    text = (SOME_PROVEN if proven else NOTHING_PROVEN) if real else "No premium answer could have been had for less."
    return {
        "text": f"{text}{looked}",
        "rows": [_premium_row(row, name) for row in real[:NEEDLESS]],
        "cut": _cut(len(real), NEEDLESS, "rows", "proven, or with the biggest saving"),
    }


def _premium_row(row: Needless, name: _Name) -> list[str]:
    proven = "proven" if row.evidence is not None and row.evidence.proven else "not proven"
    return [
        name(row.task),
        name(row.model),
        name(row.alternative),
        f"{row.requests:,}",
        short_usd(row.saving_nanousd),
        proven,
    ]


def _security(report: MonthlyReport, name: _Name) -> JsonObject:
    actions, rules = report.shielded.actions, report.shielded.rules
    told = [f"{actions[action]:,} {word}" for action, word in _ACTIONS if actions.get(action)]
    text = (
        f"Prompts that the shield stopped or noted: {', '.join(told)}." if told else "The shield had nothing to note."
    )
    return {
        "text": text,
        "rows": [[name(rule), f"{count:,}"] for rule, count in list(rules.items())[:RULES]],
        "cut": _cut(len(rules), RULES, "rules", "met most often"),
    }


def _method(report: MonthlyReport, name: _Name) -> list[JsonObject]:
    total, method = report.total, report.method
    unmatched = total.cost_nanousd - (total.baseline_nanousd - _gross(total))
    tables = ", ".join(name(table) for table in method.tables)
    dated = f"{tables} (at the first and the last requests of the month)." if tables else "none: nothing was priced."
    baseline = (
        f"the same tokens on {name(method.baseline)}, whose list price today is {_price(method.price)}; an answer from "
        "the cache counts as one that had to be bought."
    )
    saved = (
        "baseline less spent, less what failed attempts cost the gateway, for the same requests. An answer dearer than "
        "the baseline's counts against it. Shadow audits and their judges are not in it: they cost "
        f"{short_usd(report.audit_cost_nanousd)} in this month."
    )
    told = {
        "Spent": "what providers charge for the answers at their list prices, each priced when it was given.",
        "Baseline": baseline,
        "Saved": saved,
        "Price tables": dated,
        "Time": "days and months are in UTC.",
        "Left out": _left_out(report, unmatched),
    }
    return [{"term": term, "text": text} for term, text in told.items()]


def _left_out(report: MonthlyReport, unmatched_nanousd: int) -> str:
    simulated, unpriced = report.simulated, report.total.unpriced
    told: list[str] = []
    if simulated.requests:
        worth = short_usd(simulated.cost_nanousd)
        told.append(f"{plural(simulated.requests, 'simulated request')} with {worth} of simulated spend")
    if unpriced:
        told.append(f"{plural(unpriced, 'request')} without a price, of which neither cost nor saving is known")
    if unmatched_nanousd:
        told.append(f"from baseline and savings, {short_usd(unmatched_nanousd)} spent on requests without a baseline")
    return f"{'; '.join(told)}." if told else "nothing."


def _price(price: Price) -> str:
    """Write dollars per million tokens."""
    told = [
        f"{short_usd(picousd * 1_000_000 // _PICOUSD)} {kind}"
        for kind, picousd in (
            ("in", price.input_picousd),
            ("cached in", price.cached_input_picousd),
            ("out", price.output_picousd),
        )
    ]
    return f"{', '.join(told)} per million tokens"


def _exact(report: MonthlyReport) -> list[list[str]]:
    """Return the headline sums with all their digits, to be compared with page, API, CSV and ledger."""
    total = report.total
    rows: list[tuple[str, int]] = [
        ("Spent", total.cost_nanousd),
        ("Baseline", total.baseline_nanousd),
        ("Saved by routing", total.saved_routing_nanousd),
        ("Saved by the exact cache", total.saved_exact_nanousd),
        ("Saved by the semantic cache", total.saved_semantic_nanousd),
        ("Gateway's own cost", total.house_nanousd),
        ("Saved", total.saved_nanousd),
        ("Providers' prompt caches", total.provider_cache_nanousd),
        ("Shadow audits (in no sum above)", report.audit_cost_nanousd),
        ("Simulated spend (in no sum)", report.simulated.cost_nanousd),
    ]
    return [[told, decimal_usd(amount)] for told, amount in rows]


def _gross(total: UsageSums) -> int:
    return total.saved_nanousd + total.house_nanousd


def _cut(count: int, most: int, noun: str, which: str) -> str | None:
    return f"The {most} of {count:,} {noun} {which} are listed." if count > most else None
