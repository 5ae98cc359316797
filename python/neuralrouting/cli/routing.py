"""`neuralrouting routing`: the rules and settings by which an account has its requests routed."""

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import click

from neuralrouting.cli.options import (
    Commands,
    account_option,
    ask_database,
    bundled,
    catalog_of,
    cli_actor,
    config_option,
    json_option,
    load,
    text_of,
)
from neuralrouting.cli.show import print_json, print_table
from neuralrouting.clock import unix_ms

# Everything else is imported where it is used, so that `--help` starts fast.
# `\b` is click's mark for lines that it must not wrap.
# ruff: noqa: D301, PLC0415

if TYPE_CHECKING:
    from neuralrouting.accounts.allowance import Allowance
    from neuralrouting.exchange import JsonObject
    from neuralrouting.rules import RuleSet
    from neuralrouting.storage.database import Database
    from neuralrouting.storage.routing_settings import RoutingSettings

_file = click.argument("file", type=click.File("rb"))
_FLAGS = {"on": True, "off": False, "default": None}


@click.group(cls=Commands)
def routing() -> None:
    """Look after an account's routing: its own rules, its default mode, cascades and audits.

    \b
      neuralrouting routing rules check mine.yaml
      neuralrouting routing rules dry-run mine.yaml --account acme
      neuralrouting routing settings set --account acme --mode cost
    """


@routing.group()
def rules() -> None:
    """Rules that choose mode, tier or model of an account's requests, or block them; gateways obey within two seconds.

    \b
      neuralrouting routing rules check mine.yaml
      neuralrouting routing rules set mine.yaml --account acme
    """


@rules.command()
@account_option
@config_option
@json_option
def show(account: str, path: Path | None, *, as_json: bool) -> None:
    """Print the rules of an account, as they were written.

    \b
      neuralrouting routing rules show --account acme > mine.yaml
    """
    stored = _stored(path, account)
    if as_json:
        print_json({"account": account, "rules": stored.rules})
    elif stored.rules:
        click.echo(stored.rules, nl=not stored.rules.endswith("\n"))
    else:
        click.echo(f"account {account} has no rules", err=True)


@rules.command()
@_file
@config_option
@json_option
def check(file: BinaryIO, path: Path | None, *, as_json: bool) -> None:
    """Say whether FILE is good, and if not, which line is why; models must be ones that can be reached here.

    \b
      neuralrouting routing rules check mine.yaml
    """
    found = _read(path, file)[1]
    if as_json:
        print_json({"file": file.name, "rules": [{"name": rule.name, "line": rule.line} for rule in found.rules]})
    else:
        click.echo(f"{file.name} is good: {_count(found)}")


@rules.command("set")
@_file
@account_option
@config_option
@json_option
def set_rules(file: BinaryIO, account: str, path: Path | None, *, as_json: bool) -> None:
    """Make FILE the rules of an account, in place of those it has; an empty one takes them back.

    \b
      neuralrouting routing rules set mine.yaml --account acme
    """
    from msgspec.structs import replace

    text, found = _read(path, file)
    _change(path, account, lambda had: replace(had, rules=text), lambda plans: plans.check_rules(account, found))
    if as_json:
        print_json({"account": account, "rules": len(found.rules)})
    else:
        click.echo(f"account {account} has {_count(found)}")


@rules.command("dry-run")
@_file
@account_option
@click.option("--from", "told_from", help="First moment: date, time (UTC) or Unix milliseconds [default: a week ago].")
@click.option("--to", "told_to", help="Moment before which it ends [default: now].")
@config_option
@json_option
def dry_run(
    file: BinaryIO, account: str, told_from: str | None, told_to: str | None, path: Path | None, *, as_json: bool
) -> None:
    """Try FILE on past requests: which would have gone elsewhere, and what that would have saved or cost.

    \b
      neuralrouting routing rules dry-run mine.yaml --account acme --from 2026-11-01
    """
    from neuralrouting.api.dry_run import past_query, rehearse
    from neuralrouting.storage.past import PastRows

    found, query = _read(path, file)[1], past_query(account, {"from": told_from, "to": told_to}, unix_ms())
    catalog = catalog_of(load(path))

    async def ask(database: "Database") -> "JsonObject":
        await _check_account(database, account)
        return await rehearse(found, PastRows(database), query, catalog)

    body = ask_database(path, ask)
    if as_json:
        print_json(body)
        return
    click.echo(body["summary"])
    if body["examined_newest"] is not None:
        click.echo(f"only the newest {body['examined_newest']:,} requests were looked at")
    for reason in body["not_judged"].values():
        click.echo(f"not judged: {reason['requests']:,}, since {reason['why']}")
    head = ["rule", "line", "matched", "changed", "cost", "simulated cost"]
    print_table(head, [_tally_cells(one) for one in body["by_rule"]])


@routing.group()
def settings() -> None:
    """The mode of requests that name none, cascades, and whether answers may be audited.

    \b
      neuralrouting routing settings show --account acme
      neuralrouting routing settings set --account acme --mode cost
    """


@settings.command("show")
@account_option
@config_option
@json_option
def show_settings(account: str, path: Path | None, *, as_json: bool) -> None:
    """Show the settings of an account; default: as the gateway is configured.

    \b
      neuralrouting routing settings show --account acme
    """
    _print_settings(account, _stored(path, account), as_json=as_json)


@settings.command("set")
@account_option
@bundled(
    "told",
    click.option("--mode", type=click.Choice(["auto", "cost", "quality", "speed", "default"]), help="Default mode."),
    click.option("--cascade", type=click.Choice(list(_FLAGS)), help="In mode auto, look at cheap answers first."),
    click.option("--shadow/--no-shadow", default=None, help="Allow audits: some prompts are answered twice."),
)
@config_option
@json_option
def set_settings(account: str, *, told: dict[str, Any], path: Path | None, as_json: bool) -> None:
    """Change what is given; running gateways obey within two seconds.

    \b
      neuralrouting routing settings set --account acme --mode cost --cascade on
      neuralrouting routing settings set --account acme --no-shadow
    """
    if not told:
        raise click.UsageError("say what to change: see --help")
    from msgspec.structs import replace

    changes: dict[str, Any] = {}
    if "mode" in told:
        changes["routing_mode"] = None if told["mode"] == "default" else told["mode"]
    if "cascade" in told:
        changes["cascade"] = _FLAGS[told["cascade"]]
    if "shadow" in told:
        changes["shadow"] = told["shadow"]
    mode = changes.get("routing_mode")
    stored = _change(path, account, lambda had: replace(had, **changes), lambda plans: plans.check_mode(account, mode))
    _print_settings(account, stored, as_json=as_json)


def _read(path: Path | None, file: BinaryIO) -> tuple[str, "RuleSet"]:
    """Read a file of rules; a mistake is a ClickException with its line."""
    from neuralrouting.api.routing import missing_from
    from neuralrouting.rules import RulesRejected, read_rules

    text = text_of(file)
    try:
        return text, read_rules(text, missing_from(catalog_of(load(path))))
    except RulesRejected as error:
        raise click.ClickException(f"{file.name}: {error}") from None


def _stored(path: Path | None, account: str) -> "RoutingSettings":
    from neuralrouting.storage.routing_settings import RoutingSettingsRows

    async def ask(database: "Database") -> "RoutingSettings":
        await _check_account(database, account)
        return await RoutingSettingsRows(database).find(account)

    return ask_database(path, ask)


def _change(
    path: Path | None,
    account: str,
    edit: Callable[["RoutingSettings"], "RoutingSettings"],
    check: Callable[["Allowance"], Awaitable[None]],
) -> "RoutingSettings":
    """Change settings when the account's plan allows it. Raises NotFound for no such account, PlanRequired."""
    from neuralrouting.accounts.allowance import Allowance
    from neuralrouting.storage.accounts import no_account
    from neuralrouting.storage.routing_settings import RoutingSettingsRows

    async def ask(database: "Database") -> "RoutingSettings | None":
        await check(Allowance(database))
        return await RoutingSettingsRows(database).change(account, edit, unix_ms(), actor=cli_actor())

    stored = ask_database(path, ask)
    if stored is None:
        raise no_account(account)
    return stored


async def _check_account(database: "Database", account: str) -> None:
    """Raise NotFound for an account that does not exist: one that is misspelt must not look like one without rules."""
    from neuralrouting.storage.accounts import AccountRows, no_account

    if await AccountRows(database).find(account) is None:
        raise no_account(account)


def _print_settings(account: str, stored: "RoutingSettings", *, as_json: bool) -> None:
    facts: dict[str, Any] = {
        "account": account,
        "mode": stored.routing_mode,
        "cascade": stored.cascade,
        "shadow": stored.shadow,
    }
    if as_json:
        print_json(facts)
    else:
        print_table(list(facts), [["default" if v is None else str(v).lower() for v in facts.values()]])


def _tally_cells(one: dict[str, Any]) -> list[str]:
    from neuralrouting.api.dry_run import signed_usd

    money = [signed_usd(one[name]) for name in ("cost_delta_nanousd", "simulated_cost_delta_nanousd")]
    return [one["name"], f"{one['matched']:,}", f"{one['changed']:,}", *money]


def _count(found: "RuleSet") -> str:
    count = len(found.rules)
    return f"{count} rule{'s' * (count != 1)}"
