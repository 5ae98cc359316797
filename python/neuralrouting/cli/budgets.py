"""`neuralrouting budgets`: bounds on what accounts may spend."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from neuralrouting.cli.amounts import USD, usd_text
from neuralrouting.cli.options import (
    Commands,
    account_option,
    ask_database,
    bundled,
    cli_actor,
    config_option,
    json_option,
)
from neuralrouting.cli.show import print_json, print_table, time_text
from neuralrouting.clock import unix_ms

# Everything else is imported where it is used, so that `--help` starts fast.
# `\b` is click's mark for lines that it must not wrap.
# ruff: noqa: D301, PLC0415

if TYPE_CHECKING:
    from neuralrouting.exchange import Budget
    from neuralrouting.storage.budgets import Window
    from neuralrouting.storage.database import Database


@click.group(cls=Commands)
def budgets() -> None:
    """List, set and remove budgets: dollars per period for an account, key, user, feature, team or model.

    \b
      neuralrouting budgets set --scope user --subject "*" --period day --limit-usd 0.50 --action block
    """


@budgets.command("list")
@account_option
@config_option
@json_option
def list_budgets(account: str, path: Path | None, *, as_json: bool) -> None:
    """List an account's budgets and what was spent of them in the present period.

    \b
      neuralrouting budgets list --account acme --json
    """
    from neuralrouting.accounts.budgets import epoch_ms
    from neuralrouting.storage.budgets import BudgetRows

    async def ask(database: "Database") -> "list[tuple[Budget, list[Window]]]":
        rows = BudgetRows(database)
        found = await rows.of_account(account)
        return [(budget, await rows.windows(budget, epoch_ms(budget.period, unix_ms()))) for budget in found]

    facts = [_facts(budget, windows) for budget, windows in ask_database(path, ask)]
    if as_json:
        print_json(facts)
    elif not facts:
        click.echo(f"account {account} has no budgets; make one with `neuralrouting budgets set`")
    else:
        print_table([*_HEAD, "spent_usd"], [_cells(row) for row in facts])


@budgets.command("set")
@account_option
@bundled(
    "told",
    click.option("--name", help="Its name for people."),
    click.option(
        "--scope",
        type=click.Choice(["account", "key", "user", "feature", "team", "model"]),
        default="account",
        show_default=True,
        help="What it counts by.",
    ),
    click.option("--subject", help="One value of the scope (a key's id, a user, a model), or '*': each on its own."),
    click.option(
        "--period",
        type=click.Choice(["hour", "day", "week", "month", "total"]),
        default="month",
        show_default=True,
        help="When it begins anew: in UTC, weeks on Monday; total: never.",
    ),
    click.option("--limit-usd", "limit_nanousd", type=USD, required=True, help="Dollars per period, such as 12.50."),
    click.option(
        "--action",
        type=click.Choice(["warn", "block", "downgrade"]),
        default="block",
        show_default=True,
        help="At the limit: only say so, refuse (402), or route for cost.",
    ),
    click.option(
        "--warn-percent", type=click.IntRange(1, 100), default=80, show_default=True, help="Share that is told."
    ),
)
@config_option
@json_option
def set_budget(account: str, *, told: dict[str, Any], path: Path | None, as_json: bool) -> None:
    """Set a budget, in place of the account's one with the same scope, subject, period and action.

    Running gateways obey within two seconds.

    \b
      neuralrouting budgets set --account acme --period month --limit-usd 250
      neuralrouting budgets set --account acme --scope model --subject gpt-4o --period day --limit-usd 20 --action warn
    """
    from neuralrouting.exchange import Budget
    from neuralrouting.storage.budgets import BudgetRows, new_budget_id

    if told["scope"] != "account" and "subject" not in told:
        raise click.UsageError(f"--scope {told['scope']} needs --subject: one {told['scope']}, or '*' for each")
    told.setdefault("subject", "")
    told.setdefault("name", f"{told['period']} {told['scope']} {told['subject']}".strip())

    async def put(database: "Database") -> "Budget":
        rows, wanted = BudgetRows(database), Budget(new_budget_id(), account, **told)
        for had in await rows.of_account(account):
            if _same(had, wanted):
                wanted = Budget(had.id, account, **told)
        await rows.put(wanted, unix_ms(), actor=cli_actor())
        return wanted

    facts = _facts(ask_database(path, put), [])
    del facts["windows"]
    if as_json:
        print_json(facts)
    else:
        print_table(_HEAD, [[str(facts[name]) for name in _HEAD]])


@budgets.command("remove")
@click.argument("budget_id", metavar="ID")
@account_option
@config_option
@json_option
def remove_budget(budget_id: str, account: str, path: Path | None, *, as_json: bool) -> None:
    """Remove the account's budget with this ID; running gateways forget it within two seconds.

    \b
      neuralrouting budgets remove bdg_0123456789abcdef --account acme
    """
    from neuralrouting.storage.budgets import BudgetRows

    removed = ask_database(
        path, lambda database: BudgetRows(database).remove(budget_id, account, unix_ms(), actor=cli_actor())
    )
    if not removed:
        raise click.ClickException(
            f"account {account} has no budget {budget_id!r}; see `neuralrouting budgets list --account {account}`"
        )
    if as_json:
        print_json({"id": budget_id, "removed": True})
    else:
        click.echo(f"removed the budget {budget_id}")


_HEAD = ["id", "name", "scope", "subject", "period", "limit_usd", "action", "warn_percent"]


def _same(one: "Budget", other: "Budget") -> bool:
    names = ("scope", "subject", "period", "action")
    return all(getattr(one, name) == getattr(other, name) for name in names)


def _facts(budget: "Budget", windows: "list[Window]") -> dict[str, Any]:
    """Return a budget as it is printed: dollars as decimal text."""
    return {
        "id": budget.id,
        "account": budget.account_id,
        "name": budget.name,
        "scope": budget.scope,
        "subject": budget.subject,
        "period": budget.period,
        "limit_usd": usd_text(budget.limit_nanousd),
        "action": budget.action,
        "warn_percent": budget.warn_percent,
        "windows": [
            {
                "subject": window.subject,
                "began": time_text(window.epoch_ms),
                "spent_usd": usd_text(window.spent_nanousd),
                "leased_usd": usd_text(window.reserved_nanousd),
            }
            for window in windows
        ],
    }


def _cells(row: dict[str, Any]) -> list[str]:
    highest = row["windows"][0] if row["windows"] else None
    if highest is None:
        spent = "0"
    else:
        spent = f"{highest['spent_usd']} {highest['subject'] if row['subject'] == '*' else ''}".rstrip()
    return [*(str(row[name]) for name in _HEAD), spent]
