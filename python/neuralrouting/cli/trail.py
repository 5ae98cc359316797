"""`neuralrouting trail`: who changed what, and whether all of it is still there."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from neuralrouting.cli.options import Commands, ask_database, check_account, config_option, json_option
from neuralrouting.cli.show import print_json, print_table

# Everything else is imported where it is used, so that `--help` starts fast.
# `\b` is click's mark for lines that it must not wrap.
# ruff: noqa: D301, PLC0415

if TYPE_CHECKING:
    from neuralrouting.storage.database import Database
    from neuralrouting.storage.findings import Breach
    from neuralrouting.storage.trail import Head, TrailEntry


@click.group(cls=Commands, invoke_without_command=True)
@click.option("--account", default="default", show_default=True, help="Account that it is about.")
@click.option("--common", is_flag=True, help="What belongs to no account, such as plans.")
@click.option("--limit", type=click.IntRange(1, 1_000), default=20, show_default=True, help="Entries shown.")
@click.option("--before", type=click.IntRange(1), metavar="SEQ", help="Only entries before this one.")
@config_option
@json_option
@click.pass_context
def trail(  # noqa: PLR0913  each is an option
    context: click.Context, account: str, *, common: bool, limit: int, before: int | None, path: Path | None,
    as_json: bool,
) -> None:  # fmt: skip
    """Show who changed what in an account, from what to what, newest first.

    \b
      neuralrouting trail --account acme --limit 50
      neuralrouting trail verify
    """
    if context.invoked_subcommand is not None:
        return
    from neuralrouting.api.trail import trail_fields
    from neuralrouting.storage.trail import COMMON, Trail

    async def ask(database: "Database") -> "tuple[list[TrailEntry], Head]":
        if not common:
            await check_account(database, account)
        chain, rows = COMMON if common else account, Trail(database)
        return await rows.page(chain, before, limit), await rows.head(chain)

    entries, head = ask_database(path, ask)
    if as_json:
        told = {"seq": head.seq, "hash": head.hash.hex()}
        print_json(
            {"account": None if common else account, "data": [trail_fields(one) for one in entries], "head": told}
        )
    elif not entries:
        click.echo("nothing was changed yet")
    else:
        print_table(["seq", "at", "actor", "action", "subject", "change"], [_cells(trail_fields(e)) for e in entries])


@trail.command()
@config_option
@json_option
def verify(path: Path | None, *, as_json: bool) -> None:
    """Check the trail of every account: an entry that was changed or is missing is exit code 1.

    \b
      neuralrouting trail verify --json | jq '.breaches[].row'
    """
    from neuralrouting.storage.trail import Trail

    async def ask(database: "Database") -> "tuple[int, int, list[Breach]]":
        rows = Trail(database)
        return *await rows.size(), await rows.verify()

    chains, entries, breaches = ask_database(path, ask)
    if as_json:
        found = [{"row": breach.row, "says": breach.says} for breach in breaches]
        print_json({"chains": chains, "entries": entries, "breaches": found})
    elif breaches:
        for breach in breaches:
            click.echo(f"{breach.row}: {breach.says}")
    else:
        click.echo(f"{chains} chains, {entries} entries checked: all there, none changed")
    if breaches:
        sys.exit(1)


def _cells(fields: dict[str, Any]) -> list[str]:
    before, after = fields["before"] or {}, fields["after"] or {}
    names = {**before, **after}
    changes = "\n".join(f"{name}: {_text(before.get(name))} -> {_text(after.get(name))}" for name in names)
    plain = [_text(fields[name]) for name in ("seq", "at", "actor", "action", "subject")]
    return [*plain, changes]


def _text(value: object) -> str:
    """Write a value; characters that a terminal would obey or hide are written out."""
    text = "-" if value is None else str(value)
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
