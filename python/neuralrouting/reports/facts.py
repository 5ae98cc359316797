"""A report as JSON: every figure that the PDF has, and those that it had no room for."""

import msgspec

from neuralrouting.api.confidence import cell_fields
from neuralrouting.api.figures import moment, money, sums_fields
from neuralrouting.api.premium import needless_body
from neuralrouting.exchange import JsonObject
from neuralrouting.intervals import wilson
from neuralrouting.reports.month import (
    Audited,
    BudgetUse,
    Line,
    Method,
    MonthFigures,
    MonthlyReport,
    Ranking,
    saved_permille,
)
from neuralrouting.storage.usage import Group


def report_body(report: MonthlyReport) -> JsonObject:
    """Return the whole report; money as nano-dollars and as exact decimals."""
    return {
        "object": "report",
        "account": report.account_id,
        "account_name": report.account_name,
        "month": str(report.month),
        "from": moment(report.month.from_ms),
        "to": moment(report.month.to_ms),
        "made": moment(report.made_ms),
        "over": report.over,
        "wanted": {name: value for name, value in msgspec.structs.asdict(report.wanted).items() if value is not None},
        "total": sums_fields(report.total) | {"saved_permille": saved_permille(report.total)},
        "simulated": sums_fields(report.simulated),
        "before": sums_fields(report.before) | {"month": str(report.month.on(-1))},
        "days": [{"day": moment(day.start_ms)[:10], **sums_fields(day.sums)} for day in report.days],
        **{f"by_{group}": _ranking(group, ranking) for group, ranking in report.rankings.items()},
        "budgets": [_budget(use) for use in report.budgets],
        "quality": _quality(report),
        "premium_not_needed": needless_body(report.needless, bounded=report.examined),
        "security": {"actions": dict(report.shielded.actions), "rules": dict(report.shielded.rules)},
        "method": _method(report.method),
    }


def months_body(months: list[MonthFigures], *, simulated: bool = False) -> list[JsonObject]:
    """Return the headline figures of months, of real or of simulated requests, a flat row for each."""
    rows: list[JsonObject] = []
    for one in months:
        sums = one.simulated if simulated else one.real
        hits = sums.exact_hits + sums.semantic_hits
        rows.append(
            {
                "month": str(one.month),
                "requests": sums.requests,
                **money("cost", sums.cost_nanousd),
                **money("baseline", sums.baseline_nanousd),
                **money("saved", sums.saved_nanousd),
                "saved_share": sums.saved_nanousd / sums.baseline_nanousd if sums.baseline_nanousd else None,
                "cache_share": hits / sums.requests if sums.requests else None,
            }
        )
    return rows


def _ranking(group: Group, ranking: Ranking) -> JsonObject:
    return {
        "data": [_line(group, line) for line in ranking.lines],
        "unlisted": ranking.unlisted,
        "others": sums_fields(ranking.others),
    }


def _line(group: Group, line: Line) -> JsonObject:
    budget = None if line.budget is None else _budget(line.budget)
    return {group: line.name or None, **sums_fields(line.sums), "budget": budget}


def _budget(use: BudgetUse) -> JsonObject:
    budget = use.budget
    return {
        "id": budget.id,
        "name": budget.name,
        "scope": budget.scope,
        "subject": use.spent.subject or None,
        "period": budget.period,
        "action": budget.action,
        **money("limit", budget.limit_nanousd),
        **money("most_spent", use.spent.spent_nanousd),
        "percent": use.percent,
        "windows": use.spent.windows,
        "reached": use.spent.over,
    }


def _quality(report: MonthlyReport) -> JsonObject:
    proofs = report.proofs
    return {
        "reference": proofs.reference,
        "audits": [_audited(one) for one in report.audits],
        **money("audits_cost", report.audit_cost_nanousd),
        "matrix_built": moment(proofs.built_ms) if proofs.built_ms is not None else None,
        "cells": [cell_fields(cell) for cell in proofs.cells],
    }


def _audited(one: Audited) -> JsonObject:
    rate = round(one.not_worse / one.judged, 6) if one.judged else None
    return {
        **msgspec.structs.asdict(one),
        "judged": one.judged,
        "not_worse": one.not_worse,
        "rate": rate,
        "interval": [round(bound, 6) for bound in wilson(one.not_worse, one.judged)],
    }


def _method(method: Method) -> JsonObject:
    price = method.price
    return {
        "baseline": method.baseline,
        "baseline_price": {
            "input_picousd_per_token": price.input_picousd,
            "cached_input_picousd_per_token": price.cached_input_picousd,
            "output_picousd_per_token": price.output_picousd,
            "version": price.version,
            "source": price.source,
        },
        "price_tables": list(method.tables),
        "margin": method.margin,
    }
