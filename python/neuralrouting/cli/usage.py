"""`neuralrouting usage` and `neuralrouting audit`: figures and single requests, read from the database directly."""

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from neuralrouting.cli.options import account_option, ask_database, config_option, json_option
from neuralrouting.cli.show import print_json, print_table, safe_text
from neuralrouting.clock import unix_ms

# Everything else is imported where it is used, so that `--help` starts fast.
# `\b` is click's mark for lines that it must not wrap.
# ruff: noqa: D301, PLC0415

if TYPE_CHECKING:
    from neuralrouting.exchange import JsonObject
    from neuralrouting.storage.database import Database
    from neuralrouting.storage.usage import UsageQuery, UsageRow

_Command = TypeVar("_Command", bound=Callable[..., None])
_Result = TypeVar("_Result")
MAX_ROWS = 100_000
MAX_DAYS = 100
"""Days that are drawn: as many as a wide terminal has characters."""
LISTED = 50
_FILTERS = {
    "from": "First moment: a date, a time (UTC) or Unix milliseconds.",
    "to": "Moment before which it ends.",
    "user": "Only this end user's; '' is those without one.",
    "feature": "Only this feature's.",
    "team": "Only this team's.",
    "model": "Only this deployment's (provider/model) or this model's.",
    "key": "Only the requests of the key with this id.",
    "endpoint": "Only this endpoint's.",
    "session": "Only this session's.",
}


def _filtered(command: _Command) -> _Command:
    for name, text in reversed(_FILTERS.items()):
        command = click.option(f"--{name}", f"told_{name}", help=text)(command)
    return account_option(command)


@click.command()
@_filtered
@click.option("--group-by", "told_group_by", help="By comma: day or hour, user, feature, team, model, key, endpoint.")
@click.option("--csv", "as_csv", is_flag=True, help="Print CSV.")
@config_option
@json_option
def usage(account: str, path: Path | None, *, as_csv: bool, as_json: bool, **options: str | None) -> None:
    """Show what an account used, paid and saved: this month, unless told otherwise.

    Real and simulated money are never added up. Savings are net of what the gateway spent of its own. Below the table
    is what was spent on each day, and in the period before: as long, or the month before a month.

    \b
      neuralrouting usage --group-by day,model --from 2026-11-01 --to 2026-12-01
    """
    if as_csv and as_json:
        raise click.UsageError("--csv or --json, not both")
    told = _told(options)
    if "session" in told:
        if as_csv or set(told) != {"session"}:
            raise click.UsageError("--session stands alone, or with --account and --json")
        _show_session(path, account, told["session"], as_json=as_json)
        return
    from neuralrouting.api import figures, filters

    query = filters.usage_query(told, account, unix_ms())
    if as_csv:
        rows = _ask(path, account, lambda database: _sums(database, query))
        for block in figures.csv_blocks(query.groups, rows):
            click.echo(block, nl=False)
        return
    rows, days, before = _ask(path, account, lambda database: _with_days(database, query))
    body = figures.usage_body(query, rows)
    if as_json:
        print_json(body | {"previous": figures.usage_body(previous(query), before)["totals"]})
        return
    _print_sums(body)
    _print_days(query, days, before)


@click.command()
@click.argument("wanted", metavar="REQUEST_ID|list")
@_filtered
@click.option("--status", "told_status", help="Only requests with this HTTP status.")
@click.option("--limit", "told_limit", help=f"How many are listed, up to 200 [default: {LISTED}].")
@click.option("--cursor", "told_cursor", help="List what is behind: the `next` of `audit list --json`.")
@config_option
@json_option
def audit(wanted: str, account: str, path: Path | None, *, as_json: bool, **options: str | None) -> None:
    """Show one request with all that was decided, tried and booked; or list requests, newest first.

    \b
      neuralrouting audit list --status 402
      neuralrouting audit req_cfdfdc3f9af100000003
    """
    told = _told(options)
    if wanted == "list":
        body = _listed(path, account, told)
        if as_json:
            print_json(body)
        else:
            _print_list(body["data"])
        return
    if told:
        raise click.UsageError("a request id stands alone, or with --account and --json")
    found = _one(path, account, wanted)
    if found is None:
        raise click.ClickException(f"account {account!r} has no request {wanted!r}; see `neuralrouting audit list`")
    if as_json:
        print_json(found)
    else:
        shown = found | {"decision": _considered(found["decision"])}
        print_table(["", ""], [[name, _line(value)] for name, value in shown.items()])


def _considered(decision: "JsonObject | None") -> list[str]:
    """Say of each model that was looked at why it was not asked first; nothing where none was to be asked."""
    route = (decision or {}).get("route") or {"candidates": ()}
    return [f"{one['model']}: {one.get('lost', 'asked first')}" for one in route["candidates"]]


def _told(options: dict[str, str | None]) -> dict[str, str]:
    return {name.removeprefix("told_"): value for name, value in options.items() if value is not None}


def _ask(path: Path | None, account: str, ask: "Callable[[Database], Awaitable[_Result]]") -> _Result:
    """Ask the database about an account; one that is not there is an error, not an account that spent nothing."""
    from neuralrouting.storage.accounts import AccountRows, no_account

    async def asked(database: "Database") -> _Result:
        if await AccountRows(database).find(account) is None:
            raise no_account(account)
        return await ask(database)

    return ask_database(path, asked)


async def _sums(database: "Database", query: "UsageQuery") -> "list[UsageRow]":
    from neuralrouting.storage.usage import UsageRows

    rows = await UsageRows(database).sums(query, MAX_ROWS + 1)
    if len(rows) > MAX_ROWS:
        raise click.ClickException(f"more than {MAX_ROWS} rows; group by less, take a shorter range, or filter")
    return rows


async def _with_days(
    database: "Database", query: "UsageQuery"
) -> "tuple[list[UsageRow], list[UsageRow], list[UsageRow]]":
    """Return the sums that are asked for, those by day where days can be told, and those of the period before."""
    import msgspec

    from neuralrouting.storage.usage import UsageRows

    by_day = msgspec.structs.replace(query, groups=("day",))
    days = await UsageRows(database).sums(by_day, MAX_ROWS)
    return await _sums(database, query), days, await UsageRows(database).sums(previous(query), MAX_ROWS)


def previous(query: "UsageQuery") -> "UsageQuery":
    """Return the question about the period before, apart by nothing."""
    import msgspec

    from neuralrouting.api.filters import month_ms

    is_month = month_ms(query.from_ms, 0) == query.from_ms and month_ms(query.from_ms, 1) == query.to_ms
    from_ms = month_ms(query.from_ms, -1) if is_month else max(0, 2 * query.from_ms - query.to_ms)
    return msgspec.structs.replace(query, from_ms=from_ms, to_ms=query.from_ms, groups=())


def _show_session(path: Path | None, account: str, session_id: str, *, as_json: bool) -> None:
    from neuralrouting.api.figures import session_body
    from neuralrouting.storage.usage import UsageRows

    rows = _ask(path, account, lambda database: UsageRows(database).session(account, session_id))
    if not rows:
        raise click.ClickException(f"account {account!r} has no session {session_id!r}")
    body = session_body(account, session_id, rows)
    if as_json:
        print_json(body)
        return
    names = ("requests", "prompt_tokens", "completion_tokens", "cost_usd", "saved_usd", "first", "last")
    found = [(kind, sums) for kind, sums in body["totals"].items() if sums is not None]
    print_table(["", *names], [[kind, *(str(sums[name]) for name in names)] for kind, sums in found])


def _listed(path: Path | None, account: str, told: dict[str, str]) -> "JsonObject":
    from neuralrouting.api import filters
    from neuralrouting.api.records import request_fields
    from neuralrouting.storage.audit import AuditRows

    query = filters.audit_query(told, account, unix_ms())
    limit, after = filters.page_size(told), filters.place_at(told.get("cursor"))
    page = _ask(path, account, lambda database: AuditRows(database).page(query, limit, after))
    behind = filters.cursor_of(page.behind) if page.behind is not None else None
    return {"account": account, "data": [request_fields(row) for row in page.rows], "next": behind}


def _one(path: Path | None, account: str, request_id: str) -> "JsonObject | None":
    from neuralrouting.api.records import decision_of, entry_fields, request_fields
    from neuralrouting.storage.audit import AuditRows
    from neuralrouting.storage.books import Books

    async def ask(database: "Database") -> "JsonObject | None":
        row = await AuditRows(database).find(request_id, account)
        if row is None:
            return None
        entries = await Books(database).entries_of(request_id, account)
        ledger = [entry_fields(entry, "operator") for entry in entries]
        return request_fields(row) | {"decision": decision_of(row), "ledger": ledger}

    return _ask(path, account, ask)


def _print_sums(body: "JsonObject") -> None:
    head = [*body["group_by"], "", "requests", "in", "out", "credits", "cost $", "baseline $", "saved $"]
    lines = [
        [*(safe_text(row[name]) for name in body["group_by"]), "simulated" if row["simulated"] else "", *_cells(row)]
        for row in body["data"]
    ]
    blank = [""] * len(body["group_by"])
    for kind, sums in body["totals"].items():
        if sums["requests"] or kind == "real":
            lines.append([*blank, f"all {kind}", *_cells(sums)])
    click.echo(f"{body['account']}, {body['from']} to {body['to']}")
    print_table(head, lines)


def _print_days(query: "UsageQuery", days: "list[UsageRow]", before: "list[UsageRow]") -> None:
    """Draw what was spent on each day, up to today, and say what was spent in the period before."""
    from neuralrouting.api.figures import moment, short_usd, total
    from neuralrouting.cli.bars import sparkline
    from neuralrouting.storage.usage import DAY_MS

    spent = {int(row.group[0]): row.sums.cost_nanousd for row in days if not row.simulated}
    first = query.from_ms - query.from_ms % DAY_MS
    shown = [spent.get(day, 0) for day in range(first, max(first + 1, min(query.to_ms, unix_ms())), DAY_MS)]
    if 1 < len(shown) <= MAX_DAYS and any(shown):
        highest = max(spent, key=lambda day: spent[day])
        most = f"most {short_usd(spent[highest])} on {moment(highest)[:10]}"
        click.echo(f"spent by day    {sparkline(shown)}  {most}")
    sums, earlier = total(before, simulated=False), previous(query)
    click.echo(
        f"period before   {short_usd(sums.cost_nanousd)} spent, {short_usd(sums.saved_nanousd)} saved, "
        f"{sums.requests:,} requests (from {moment(earlier.from_ms)[:10]})"
    )


def _cells(sums: "JsonObject") -> list[str]:
    cost = sums["cost_usd"] + (f" ({sums['unpriced']} unpriced)" if sums["unpriced"] else "")
    tokens = [f"{sums[name]:,}" for name in ("requests", "prompt_tokens", "completion_tokens")]
    return [*tokens, sums["charged_credits"], cost, sums["baseline_usd"], sums["saved_usd"]]


def _print_list(rows: "list[JsonObject]") -> None:
    if not rows:
        click.echo("no such requests")
        return
    names = ("created", "request_id", "status", "user", "feature", "deployment", "cache", "cost_usd", "charged_credits")
    print_table(list(names), [[safe_text(row[name]) for name in names] for row in rows])


def _line(value: Any) -> str:  # noqa: ANN401  whatever a record holds
    if isinstance(value, list):
        return "\n".join(_line(one) for one in value)
    if isinstance(value, dict):
        return " ".join(f"{name}={safe_text(one)}" for name, one in value.items() if one is not None)
    return safe_text(value)
