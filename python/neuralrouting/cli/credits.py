"""`neuralrouting credits`: what accounts have left, and adding to it."""

import secrets
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from neuralrouting.cli.amounts import CREDITS, credits_text, usd_text
from neuralrouting.cli.options import Commands, account_option, ask_database, cli_actor, config_option, json_option
from neuralrouting.cli.show import print_json, print_table, time_text

# Everything else is imported where it is used, so that `--help` starts fast.
# `\b` is click's mark for lines that it must not wrap.
# ruff: noqa: D301, PLC0415

if TYPE_CHECKING:
    from neuralrouting.storage.books import Balance
    from neuralrouting.storage.database import Database
    from neuralrouting.storage.ledger import Entry


@click.group("credits", cls=Commands)
def credits_() -> None:
    """Show an account's credits and add to them.

    \b
      neuralrouting credits top-up --account acme --credits 5000 --ref INVOICE-7
    """


@credits_.command()
@account_option
@click.option("--entries", "limit", type=click.IntRange(0, 1000), default=10, show_default=True, help="Entries shown.")
@click.option("--before", type=click.IntRange(1), metavar="SEQ", help="Only entries before this one.")
@config_option
@json_option
def show(account: str, limit: int, before: int | None, path: Path | None, *, as_json: bool) -> None:
    """Show what an account has left, and the newest entries of its ledger.

    \b
      neuralrouting credits show --account acme --entries 50
    """
    from neuralrouting.storage.accounts import AccountRows, no_account
    from neuralrouting.storage.books import Books

    async def ask(database: "Database") -> "tuple[str, Balance, list[Entry]]":
        found, books = await AccountRows(database).find(account), Books(database)
        if found is None:
            raise no_account(account)
        return found.plan_id, await books.balance(account), await books.entries(account, before, limit)

    plan_id, balance, entries = ask_database(path, ask)
    facts: dict[str, Any] = {
        "account": account,
        "plan": plan_id,
        "credits": credits_text(balance.posted_mc),
        "leased": credits_text(balance.reserved_mc),
        "of_the_month": credits_text(balance.grant_mc),
        "month": balance.period or None,
    }
    rows = [_entry_facts(entry) for entry in entries]
    if as_json:
        print_json(facts | {"entries": rows})
        return
    print_table(list(facts), [[str(value or "") for value in facts.values()]])
    if rows:
        click.echo()
        print_table(list(rows[0]), [["" if value is None else str(value) for value in row.values()] for row in rows])


@credits_.command("top-up")
@account_option
@click.option("--credits", "mc", type=CREDITS, required=True, help="Credits to add, such as 5000 or 0.5.")
@click.option("--ref", help="Your reference, such as an invoice: the same one adds once [default: a new one].")
@click.option("--reason", default="top-up", show_default=True, help="Why, for the ledger.")
@config_option
@json_option
def top_up(account: str, mc: int, *, ref: str | None, reason: str, path: Path | None, as_json: bool) -> None:
    """Add credits that were paid for; they do not expire. The same --ref again adds nothing and shows the first entry.

    \b
      neuralrouting credits top-up --account acme --credits 5000 --ref INVOICE-7 --reason "paid by card"
    """
    from neuralrouting.storage.books import Books

    reference = ref or f"cli-{secrets.token_hex(8)}"

    async def ask(database: "Database") -> "tuple[Entry, Balance]":
        books = Books(database)
        entry = await books.top_up(account, mc, reference, cli_actor(), reason)
        return entry, await books.balance(account)

    entry, balance = ask_database(path, ask)
    if as_json:
        print_json(_entry_facts(entry) | {"account": account, "balance": credits_text(balance.posted_mc)})
    else:
        added, left = credits_text(entry.delta_mc), credits_text(balance.posted_mc)
        click.echo(f"{account}: {added} credits by {reference} (entry {entry.seq}); it has {left} now")


def _entry_facts(entry: "Entry") -> dict[str, Any]:
    """Return an entry as it is printed: credits and dollars as decimal text, None is unknown."""
    return {
        "seq": entry.seq,
        "at": time_text(entry.created_ms),
        "kind": entry.kind,
        "ref": entry.ref,
        "credits": credits_text(entry.delta_mc),
        "cost_usd": None if entry.cost_nanousd is None else usd_text(entry.cost_nanousd),
        "lost_credits": credits_text(entry.loss_mc),
        "simulated": entry.simulated,
        "actor": entry.actor,
        "reason": entry.reason,
    }
