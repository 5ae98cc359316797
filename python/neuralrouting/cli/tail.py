"""`neuralrouting tail`: requests as they are written, read from the database directly."""

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from neuralrouting.cli.options import account_option, ask_database, check_account, config_option
from neuralrouting.cli.show import safe_text
from neuralrouting.clock import unix_ms

# Everything else is imported where it is used, so that `--help` starts fast.
# `\b` is click's mark for lines that it must not wrap.
# ruff: noqa: D301, PLC0415

if TYPE_CHECKING:
    from neuralrouting.storage.audit import AuditQuery
    from neuralrouting.storage.database import Database
    from neuralrouting.storage.requests import RequestRow

POLL_S: Final = 0.5
"""How often the database is asked for what is new."""
MOST_LINES: Final = 200
PART: Final = 500
Print = Callable[["RequestRow"], None]
_FILTERS = {
    "user": "Only this end user's; '' is those without one.",
    "feature": "Only this feature's.",
    "team": "Only this team's.",
    "model": "Only this deployment's (provider/model) or this model's.",
    "key": "Only the requests of the key with this id.",
    "endpoint": "Only this endpoint's.",
    "session": "Only this session's.",
    "status": "Only requests with this HTTP status.",
}


def _filtered(command: Callable[..., None]) -> Callable[..., None]:
    for name, text in reversed(_FILTERS.items()):
        command = click.option(f"--{name}", f"told_{name}", help=text)(command)
    return account_option(command)


@click.command()
@_filtered
@click.option(
    "-n", "--lines", type=click.IntRange(0, MOST_LINES), default=10, show_default=True, help="How many to begin with."
)
@click.option("--json", "as_json", is_flag=True, help="Print a line of JSON for each request.")
@config_option
def tail(account: str, lines: int, path: Path | None, *, as_json: bool, **options: str | None) -> None:
    """Show the last requests of an account, then every new one as it ends, until Ctrl-C.

    \b
      neuralrouting tail --feature mail
      neuralrouting tail -n 0 --json | jq --unbuffered .cost_usd
    """
    from neuralrouting.api import filters

    told = {name.removeprefix("told_"): value for name, value in options.items() if value is not None}
    query = filters.audit_query(told, account, unix_ms())
    show = _print_json if as_json else _print_line
    try:
        ask_database(path, lambda database: _follow(database, query, lines, show))
    except KeyboardInterrupt:
        return
    except BrokenPipeError:
        # Whoever read has enough; Python would complain once more when it closes its output.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


async def _follow(database: "Database", query: "AuditQuery", lines: int, show: Print) -> None:
    import asyncio

    from neuralrouting.errors import Unavailable
    from neuralrouting.storage.audit import AuditRows
    from neuralrouting.storage.tail import RequestTail

    await check_account(database, query.account_id)
    written = RequestTail(database)
    # Before the last ones are read: what is written meanwhile is among them, or comes behind this place.
    place = await written.now()
    page = await AuditRows(database).page(query, lines) if lines else None
    shown: set[str] = set()
    for row in reversed(page.rows if page is not None else ()):
        show(row)
        shown.add(row.request_id)
    away = False
    while True:
        try:
            settled = await written.settled()
            while place < settled:
                onward = await written.onward(query, place, settled, PART)
                for one in onward.written:
                    if one.row.request_id not in shown:
                        show(one.row)
                place = onward.reached
            away = False
        except Unavailable as error:
            if not away:
                click.echo(f"waiting for the database: {error.message}", err=True)
            away = True
        await asyncio.sleep(POLL_S)


def _print_json(row: "RequestRow") -> None:
    import orjson

    from neuralrouting.api.records import request_fields

    click.echo(orjson.dumps(request_fields(row)))


def _print_line(row: "RequestRow") -> None:
    from neuralrouting.api.figures import moment, short_usd

    cost = "unpriced" if row.cost_nanousd is None else short_usd(row.cost_nanousd)
    model = row.deployment or row.error_code or "none"
    cells = (
        f"{moment(row.created_ms - row.created_ms % 1000):20}",
        str(row.status),
        f"{safe_text(model):30}",
        f"{row.cache:9}",
        f"{cost:>12}",
        f"{row.latency_us / 1000:>9,.0f} ms",
        row.request_id,
        safe_text(row.end_user or "") or "-",
        safe_text(row.feature or "") or "-",
    )
    click.echo("  ".join(cells) + ("  simulated" if row.simulated else ""))
