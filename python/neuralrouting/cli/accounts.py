"""`neuralrouting accounts`: make and list accounts, give them plans."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from neuralrouting.cli.options import Commands, ask_database, cli_actor, config_option, json_option, load
from neuralrouting.cli.show import print_json, print_table, time_text
from neuralrouting.clock import unix_ms

# Everything else is imported where it is used, so that `--help` starts fast.
# `\b` is click's mark for lines that it must not wrap.
# ruff: noqa: D301, PLC0415

if TYPE_CHECKING:
    from neuralrouting.storage.accounts import AccountRow


@click.group(cls=Commands)
def accounts() -> None:
    """Make and list accounts, and give them plans. Keys belong to accounts, and accounts pay.

    \b
      neuralrouting accounts create acme --plan starter
    """


@accounts.command("list")
@config_option
@json_option
def list_accounts(path: Path | None, *, as_json: bool) -> None:
    """List accounts: id, name, plan, when made.

    \b
      neuralrouting accounts list --json
    """
    from neuralrouting.storage.accounts import AccountRows

    rows = [_facts(row) for row in ask_database(path, lambda database: AccountRows(database).all())]
    if as_json:
        print_json(rows)
    elif not rows:
        click.echo("no accounts yet; make one with `neuralrouting accounts create`")
    else:
        print_table(list(rows[0]), [list(row.values()) for row in rows])


@accounts.command("create")
@click.argument("account_id", metavar="ID")
@click.option("--name", help="Its name for people [default: the ID].")
@click.option("--plan", help="Its plan [default: billing.default_plan].")
@config_option
@json_option
def create_account(account_id: str, name: str | None, plan: str | None, path: Path | None, *, as_json: bool) -> None:
    """Make an account, for which `keys create --account ID` then makes keys.

    \b
      neuralrouting accounts create acme --name "Acme Corporation" --plan growth
    """
    from neuralrouting.storage.accounts import AccountRows

    plan_id = plan or load(path).config.billing.default_plan
    shown = account_id if name is None else name
    made = ask_database(
        path, lambda database: AccountRows(database).ensure(account_id, shown, unix_ms(), plan_id, actor=cli_actor())
    )
    if not made:
        raise click.ClickException(f"there is an account {account_id!r} already; see `neuralrouting accounts list`")
    if as_json:
        print_json({"id": account_id, "name": shown, "plan": plan_id})
    else:
        click.echo(f"made account {account_id} with the plan {plan_id}")


@accounts.command("set-plan")
@click.argument("account_id", metavar="ID")
@click.argument("plan_id", metavar="PLAN")
@config_option
@json_option
def set_plan(account_id: str, plan_id: str, path: Path | None, *, as_json: bool) -> None:
    """Give the account with this ID another plan; running gateways obey within two seconds.

    \b
      neuralrouting accounts set-plan acme business
    """
    from neuralrouting.storage.accounts import AccountRows

    ask_database(
        path, lambda database: AccountRows(database).set_plan(account_id, plan_id, unix_ms(), actor=cli_actor())
    )
    if as_json:
        print_json({"id": account_id, "plan": plan_id})
    else:
        click.echo(f"account {account_id} has the plan {plan_id}")


def _facts(row: "AccountRow") -> dict[str, Any]:
    return {"id": row.id, "name": row.name, "plan": row.plan_id, "created": time_text(row.created_ms)}
