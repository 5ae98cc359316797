"""`neuralrouting top`: who costs most."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from neuralrouting.cli.bars import bar
from neuralrouting.cli.options import (
    account_option,
    ask_database,
    bundled,
    check_account,
    config_option,
    json_option,
)
from neuralrouting.cli.report import narrowing
from neuralrouting.cli.show import print_json, print_table, safe_text
from neuralrouting.clock import unix_ms

# Everything else is imported where it is used, so that `--help` starts fast.
# `\b` is click's mark for lines that it must not wrap.
# ruff: noqa: D301, PLC0415

if TYPE_CHECKING:
    from neuralrouting.exchange import JsonObject
    from neuralrouting.storage.database import Database
    from neuralrouting.storage.months import Highest
    from neuralrouting.storage.usage import Group, UsageQuery, UsageRow

KINDS = ("users", "features", "models", "keys", "teams", "endpoints")
LISTED = 10
BAR = 20
"""Characters of the longest bar."""
_range = (
    click.option(
        "--from", "from", help="First moment: a date, a time (UTC) or Unix milliseconds [default: this month]."
    ),
    click.option("--to", "to", help="Moment before which it ends."),
)


@click.command()
@click.argument("kind", metavar=f"[{'|'.join(KINDS)}]", type=click.Choice(KINDS), default="users")
@account_option
@bundled("told", *_range, *narrowing)
@click.option("--limit", type=click.IntRange(1, 1_000), default=LISTED, show_default=True, help="How many are listed.")
@config_option
@json_option
def top(kind: str, account: str, told: dict[str, str], limit: int, path: Path | None, *, as_json: bool) -> None:
    """Show who costs most, with shares: users, features, models or keys, this month unless told otherwise.

    Real requests only; simulated ones are counted in a line below.

    \b
      neuralrouting top models --from 2026-11-01 --to 2026-12-01
    """
    from neuralrouting.api import filters
    from neuralrouting.storage.months import MonthRows
    from neuralrouting.storage.usage import UsageRows

    (group,) = filters.groups({"group_by": kind.removesuffix("s")})
    query = filters.usage_query(told, account, unix_ms())

    async def ask(database: "Database") -> "tuple[Highest, list[UsageRow]]":
        await check_account(database, account)
        return await MonthRows(database).highest(query, group, limit), await UsageRows(database).sums(query, 2)

    body = top_body(query, group, *ask_database(path, ask))
    if as_json:
        print_json(body)
    else:
        _print(body)


def top_body(query: "UsageQuery", group: "Group", highest: "Highest", totals: "list[UsageRow]") -> "JsonObject":
    """Return who costs most, with shares of all spending from 0 to 1 (None of nothing)."""
    from neuralrouting.api.figures import group_fields, moment, sums_fields, total

    real = total(totals, simulated=False)
    data = [
        {
            **group_fields((group,), row),
            **sums_fields(row.sums),
            "share": row.sums.cost_nanousd / real.cost_nanousd if real.cost_nanousd else None,
        }
        for row in highest.rows
    ]
    return {
        "object": "top",
        "account": query.account_id,
        "from": moment(query.from_ms),
        "to": moment(query.to_ms),
        "by": group,
        "total": sums_fields(real),
        "simulated": sums_fields(total(totals, simulated=True)),
        "data": data,
        "unlisted": highest.groups - len(highest.rows),
    }


def _print(body: "JsonObject") -> None:
    from neuralrouting.api.figures import short_usd

    click.echo(f"{body['account']}, {body['from']} to {body['to']}")
    most = max((row["cost_nanousd"] for row in body["data"]), default=0)
    rows = [
        [
            safe_text(row[body["by"]] or "(none)"),
            f"{row['requests']:,}",
            short_usd(row["cost_nanousd"]),
            "" if row["share"] is None else f"{100 * row['share']:.1f}%",
            bar(row["cost_nanousd"], most, BAR),
            short_usd(row["saved_nanousd"]),
        ]
        for row in body["data"]
    ]
    total = body["total"]
    all_requests = f"{total['requests']:,}"
    rows.append(["all", all_requests, short_usd(total["cost_nanousd"]), "", "", short_usd(total["saved_nanousd"])])
    print_table([body["by"], "requests", "spent", "share", "", "saved"], rows)
    if body["unlisted"]:
        click.echo(f"{body['unlisted']:,} more are not listed; see --limit")
    if body["simulated"]["requests"]:
        click.echo(f"{body['simulated']['requests']:,} simulated requests are left out")
