"""A report as it is printed: the words and lengths of every part, so that the template only has to place them."""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from functools import partial
from typing import Final

from neuralrouting.api.figures import short_usd
from neuralrouting.exchange import JsonObject
from neuralrouting.reports.evidence_parts import evidence_parts, method_parts
from neuralrouting.reports.month import BudgetUse, Day, Line, MonthlyReport, Ranking
from neuralrouting.reports.wording import NOTHING, change, percent, plural, readable, saved_percent
from neuralrouting.storage.attribution import COLUMNS
from neuralrouting.storage.usage import Group, UsageSums

Name = Callable[[str], str]
"""Writes a client's name so that it can be set."""
TICKS: Final = 4
_NAMELESS: Final[dict[Group, str]] = {
    "model": "(no model answered)",
    "feature": "(no feature named)",
    "user": "(no user named)",
}
_NOUN: Final[dict[Group, str]] = {"model": "model", "feature": "feature", "user": "user"}


def sheet_of(report: MonthlyReport, *, ascii_only: bool = False) -> JsonObject:
    """Return all that the template places. `ascii_only`: names are written in ASCII, where fonts fail at them."""
    name = partial(readable, ascii_only=ascii_only)
    total = report.total
    title = f"{report.month.title}{'' if report.over else ', so far'}"
    account = name(report.account_name)
    if report.account_name != report.account_id:
        account = f"{account} ({name(report.account_id)})"
    return {
        "title": title,
        "account": account,
        "made": datetime.fromtimestamp(report.made_ms // 1000, UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "notes": _notes(report, name),
        "tiles": _tiles(report),
        "chart": _chart(report, name) if total.requests else None,
        "causes": _causes(total),
        "compared": _compared(report),
        "rankings": [_ranking(group, ranking, name) for group, ranking in report.rankings.items() if ranking.lines],
        **evidence_parts(report, name),
        **method_parts(report, name),
    }


def _notes(report: MonthlyReport, name: Name) -> list[str]:
    """Say what a reader has to know before the first figure."""
    notes: list[str] = []
    if not report.over:
        last = datetime.fromtimestamp(report.made_ms // 1000, UTC).strftime("%d %B, %H:%M UTC").lstrip("0")
        notes.append(f"The month has not ended: these are its figures so far, until {last}.")
    if not report.total.requests:
        notes.append(f"No real requests in {report.month.title}.")
    if report.narrowed:
        told = [
            f"{field} {name(value) if value else '(none)'}"
            for field in COLUMNS
            if (value := getattr(report.wanted, field)) is not None
        ]
        notes.append(f"Narrowed to {', '.join(told)}. Budgets, quality, premium and security are of the whole account.")
    if report.simulated.requests:
        count = plural(report.simulated.requests, "simulated request")
        notes.append(
            f"{count} (worth {short_usd(report.simulated.cost_nanousd)} at list prices) left out of every sum."
        )
    return notes


def _tiles(report: MonthlyReport) -> list[JsonObject]:
    total = report.total
    cached = total.exact_hits + total.semantic_hits
    share = percent((2000 * cached + total.requests) // (2 * total.requests)) if total.requests else NOTHING
    model = report.method.baseline.partition("/")[2] or report.method.baseline
    return [
        {"label": "Spent", "value": short_usd(total.cost_nanousd), "note": _unpriced(total)},
        {"label": "Baseline", "value": short_usd(total.baseline_nanousd), "note": f"the same on {model}"},
        {"label": "Saved", "value": short_usd(total.saved_nanousd), "note": f"{saved_percent(total)} of the baseline"},
        {"label": "Requests", "value": f"{total.requests:,}", "note": f"{share} answered from cache"},
    ]


def _unpriced(total: UsageSums) -> str:
    return f"without {plural(total.unpriced, 'unpriced request')}" if total.unpriced else "paid to providers"


def _chart(report: MonthlyReport, name: Name) -> JsonObject:
    """Return a column for each day, its heights from 0 to 1, and the lines that money is read at."""
    most = max((max(day.sums.cost_nanousd, day.sums.baseline_nanousd) for day in report.days), default=0)
    step = tick_step(most)
    top = step * max(1, -(-most // step))
    model = name(report.method.baseline)
    return {
        "columns": [
            {
                "day": str(place + 1),
                "spent": day.sums.cost_nanousd / top,
                "baseline": day.sums.baseline_nanousd / top,
            }
            for place, day in enumerate(report.days)
        ],
        "ticks": [{"at": line / top, "label": short_usd(line)} for line in range(0, top + 1, step)],
        "baseline": model,
        "alt": _told(report, model),
    }


def tick_step(most_nanousd: int) -> int:
    """Return the distance of lines at which a chart up to `most_nanousd` is read: 1, 2 or 5 times a power of ten."""
    power = 1
    while True:
        for digit in (1, 2, 5):
            if digit * power * TICKS >= most_nanousd:
                return digit * power
        power *= 10


def _told(report: MonthlyReport, model: str) -> str:
    """Say in words what the chart shows."""
    highest = max(report.days, key=_height)
    day = datetime.fromtimestamp(highest.start_ms // 1000, UTC).strftime("%d %B").lstrip("0")
    return (
        f"Columns for each day of {report.month.title}: what the requests cost, in front of what they would have cost "
        f"on {model}. The highest day is {day}: {short_usd(highest.sums.cost_nanousd)} spent against a baseline of "
        f"{short_usd(highest.sums.baseline_nanousd)}."
    )


def _height(day: Day) -> int:
    return max(day.sums.baseline_nanousd, day.sums.cost_nanousd)


def _causes(total: UsageSums) -> JsonObject:
    """Return what each cause saved, with bars from 0 to 1; what the gateway spent of its own goes off."""
    parts = [
        ("Routing to a cheaper model", total.saved_routing_nanousd),
        ("Repeated questions (exact cache)", total.saved_exact_nanousd),
        ("Questions asked in other words (semantic cache)", total.saved_semantic_nanousd),
        ("Less the gateway's own cost", -total.house_nanousd),
    ]
    most = max((abs(amount) for _, amount in parts), default=0) or 1
    return {
        "rows": [
            {"name": told, "amount": short_usd(amount), "bar": abs(amount) / most, "gain": amount >= 0}
            for told, amount in parts
        ],
        "total": short_usd(total.saved_nanousd),
        "apart": (
            f"The providers' own prompt caches took off another {short_usd(total.provider_cache_nanousd)}, "
            "which what was spent has in it already."
        ),
    }


def _compared(report: MonthlyReport) -> JsonObject:
    now, before = report.total, report.before
    money: list[tuple[str, int, int]] = [
        ("Spent", now.cost_nanousd, before.cost_nanousd),
        ("Baseline", now.baseline_nanousd, before.baseline_nanousd),
        ("Saved", now.saved_nanousd, before.saved_nanousd),
    ]
    counts: list[tuple[str, int, int]] = [
        ("Requests", now.requests, before.requests),
        ("From cache", now.exact_hits + now.semantic_hits, before.exact_hits + before.semantic_hits),
        ("Blocked", now.blocked, before.blocked),
        ("Failed", now.failed, before.failed),
    ]
    # A part of a month against a whole one is no change.
    rows = [[told, short_usd(a), short_usd(b), _moved(report, a, b)] for told, a, b in money]
    rows.append(["Saved, of baseline", saved_percent(now), saved_percent(before), ""])
    rows += [[told, f"{a:,}", f"{b:,}", _moved(report, a, b)] for told, a, b in counts]
    earlier = report.month.on(-1).title
    return {"head": ["", report.month.title, earlier, "Change"], "rows": rows}


def _moved(report: MonthlyReport, now: int, before: int) -> str:
    return change(now, before) if report.over else NOTHING


def _ranking(group: Group, ranking: Ranking, name: Name) -> JsonObject:
    rows = [_line(name(line.name) if line.name else _NAMELESS[group], line) for line in ranking.lines]
    cut = None
    if ranking.unlisted:
        rows.append([f"{plural(ranking.unlisted, 'other')}", *_figures(ranking.others), ""])
        cut = (
            f"The {len(ranking.lines)} that cost most are listed; "
            f"neuralrouting usage --group-by {group} lists all {len(ranking.lines) + ranking.unlisted:,}."
        )
    budgets = any(line.budget is not None for line in ranking.lines)
    return {"title": f"By {_NOUN[group]}", "rows": rows, "cut": cut, "budgets": budgets}


def _line(told: str, line: Line) -> list[str]:
    return [told, *_figures(line.sums), _use(line.budget)]


def _figures(sums: UsageSums) -> Sequence[str]:
    money = (sums.cost_nanousd, sums.baseline_nanousd, sums.saved_nanousd)
    return (f"{sums.requests:,}", *(short_usd(amount) for amount in money), saved_percent(sums))


def _use(use: BudgetUse | None) -> str:
    return "" if use is None else f"{use.percent:,}% of {short_usd(use.budget.limit_nanousd)}"
