"""`neuralrouting ledger`: checks the books."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from neuralrouting.cli.options import Commands, ask_database, config_option, json_option
from neuralrouting.cli.show import print_json
from neuralrouting.clock import unix_ms

# Everything else is imported where it is used, so that `--help` starts fast.
# `\b` is click's mark for lines that it must not wrap.
# ruff: noqa: D301, PLC0415

if TYPE_CHECKING:
    from neuralrouting.storage.database import Database
    from neuralrouting.storage.findings import Breach

_COUNT = "SELECT (SELECT COUNT(*) FROM accounts), (SELECT COUNT(*) FROM ledger)"


@click.group(cls=Commands)
def ledger() -> None:
    """Check that every cent is accounted for.

    \b
      neuralrouting ledger verify
    """


@ledger.command()
@config_option
@json_option
def verify(path: Path | None, *, as_json: bool) -> None:
    """Check balances, ledger, leases, requests and their sums against each other; a breach is exit code 1.

    Running gateways are not held up. Each breach is one line: which invariant, which row, and what is wrong.

    \b
      neuralrouting ledger verify --json | jq '.breaches[].row'
    """
    from neuralrouting.storage.verify import verify as check

    async def ask(database: "Database") -> "tuple[int, int, list[Breach]]":
        breaches = await check(database, unix_ms())
        [(accounts, rows)] = await database.fetch(_COUNT)
        return int(accounts), int(rows), breaches

    accounts, rows, breaches = ask_database(path, ask)
    if as_json:
        found = [{"invariant": b.invariant, "row": b.row, "says": b.says} for b in breaches]
        print_json({"accounts": accounts, "rows": rows, "breaches": found})
    elif breaches:
        for breach in breaches:
            click.echo(f"{breach.invariant}: {breach.row}: {breach.says}")
    else:
        click.echo(f"{accounts} accounts, {rows} rows checked: no breach")
    if breaches:
        sys.exit(1)
