"""Shows what was measured: one table, the budgets, and what to think of the machine; or all of it as JSON."""

import os
import platform
from pathlib import Path

import msgspec
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from neuralrouting.engine import version

from .budgets import Verdict
from .crowd import Crowd
from .measure import QUIET_CORES, Result
from .scenarios import BARE, DIRECT, GATEWAY

_COLUMNS = (
    "scenario", "target", "req/s", "p50 ms", "p99 ms", "first byte ms", "CPU us", "gateway is", "errors", "RSS MB",
    "others",
)  # fmt: skip


_CAPTION = (
    "CPU: user and system time of the process tree. gateway is: its CPU as a multiple of this target's. "
    "RSS: before and after. others: cores that other work on this machine burnt meanwhile."
)


class Report(msgspec.Struct, frozen=True):
    """Everything of one measurement."""

    results: tuple[Result, ...]
    crowd: Crowd | None
    verdicts: tuple[Verdict, ...]
    notes: tuple[str, ...]


def show(report: Report) -> None:
    """Print the table, the budgets and the notes."""
    console = Console()
    if not console.is_terminal:
        console = Console(width=120)
    console.print(_table(report))
    rules = Table("budget", "found", "", box=None, padding=(0, 2))
    marks = {True: "[green]holds[/]", False: "[bold red]broken[/]", None: "[yellow]skipped[/]"}
    for verdict in report.verdicts:
        rules.add_row(verdict.rule, verdict.found, marks[verdict.holds])
    console.print(rules)
    for note in (*_added(report.results), *_noisy(report.results), *report.notes):
        console.print(f"- {note}", highlight=False, markup=False)


def write_json(report: Report, path: Path) -> None:
    """Write every run, the medians and the machine."""
    machine = {"cores": os.cpu_count(), "system": platform.platform(), "python": platform.python_version()}
    whole = {"version": version(), "machine": machine, **msgspec.structs.asdict(report)}
    path.write_bytes(msgspec.json.format(msgspec.json.encode(whole), indent=2) + b"\n")


def _table(report: Report) -> Table:
    table = Table(box=SIMPLE_HEAD, title="One request, medians", caption=_CAPTION)
    for column in _COLUMNS:
        table.add_column(column, justify="left" if column in _COLUMNS[:2] else "right", no_wrap=column in _COLUMNS[:2])
    ours = {result.scenario: result.cpu_us for result in report.results if result.target == GATEWAY}
    last = ""
    for result in report.results:
        if result.scenario != last:
            table.add_section()
        ratio = ours.get(result.scenario, 0.0) / result.cpu_us
        table.add_row(
            result.scenario if result.scenario != last else "",
            result.target,
            f"{result.per_s:,.0f}",
            *(f"{us / 1000:.2f}" for us in (result.p50_us, result.p99_us, result.first_byte_p50_us)),
            f"{result.cpu_us:,.0f}",
            f"{ratio:.2f}x" if ratio and result.target not in (GATEWAY, DIRECT) else "",
            f"{result.errors:,}",
            f"{result.rss_before_mb:.0f}-{result.rss_after_mb:.0f}",
            f"{result.others_cores:.2f}",
        )
        last = result.scenario
    if report.crowd is not None:
        _add_crowd(table, report.crowd)
    return table


def _add_crowd(table: Table, crowd: Crowd) -> None:
    load = crowd.load
    times = (f"{us / 1000:.2f}" for us in (load.p50_us, load.p99_us, load.first_byte_p50_us))
    memory = f"{crowd.rss_before_mb:.0f}-{crowd.rss_after_mb:.0f}"
    table.add_section()
    table.add_row(
        "crowd", "gateway", f"{load.per_s:,.0f}", *times, "", "",
        f"{load.errors:,}", memory, "",
    )  # fmt: skip


def _added(results: tuple[Result, ...]) -> list[str]:
    """What one request waits longer than at the provider itself."""
    alone = {result.target: result.p50_us for result in results if result.scenario == "one connection"}
    return [
        f"added latency, one connection, p50: {name} {p50_us - alone[DIRECT]:,.0f} us"
        for name, p50_us in alone.items()
        if name not in (DIRECT, BARE)
    ]


def _noisy(results: tuple[Result, ...]) -> list[str]:
    worst = max((result.others_cores for result in results), default=0.0)
    if worst <= QUIET_CORES:
        return []
    note = f"the machine was not quiet ({QUIET_CORES:g} cores or less): others burnt up to {worst:.2f} cores; trust no "
    return [note + "absolute figure, and a ratio only when it repeats"]
