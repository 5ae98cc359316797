"""`neuralrouting keys`: make, list, change and revoke API keys."""

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from neuralrouting.cli.amounts import LIMIT, Given
from neuralrouting.cli.options import (
    Commands,
    ask_database,
    bundled,
    cli_actor,
    config_option,
    json_option,
    load,
)
from neuralrouting.cli.show import key_facts, option_facts, print_json, print_table
from neuralrouting.clock import unix_ms

# Everything else is imported where it is used, so that `--help` starts fast.
# `\b` is click's mark for lines that it must not wrap.
# ruff: noqa: D301, PLC0415

if TYPE_CHECKING:
    from neuralrouting.accounts.keys import MintedKey
    from neuralrouting.storage.database import Database
    from neuralrouting.storage.keys import KeyRows

_Result = TypeVar("_Result")
_options = bundled(
    "told",
    click.option(
        "--shield",
        "shield_mode",
        type=click.Choice(["off", "monitor", "block", "default"]),
        help="How the shield treats this key's requests; default: as configured.",
    ),
    click.option(
        "--role",
        type=click.Choice(["member", "owner", "operator"]),
        help="member: asks models, reads figures; owner: also its account's budgets; operator: everything.",
    ),
    click.option(
        "--mode",
        "routing_mode",
        type=click.Choice(["auto", "cost", "quality", "speed", "default"]),
        help="Routing mode of requests that name none; default: as its account's.",
    ),
    click.option("--team", metavar="NAME", help="Team that its spending counts for; none: no team."),
    click.option("--requests-per-minute", type=LIMIT, help="Limit of this key, beside that of the plan."),
    click.option("--tokens-per-minute", type=LIMIT, help="Limit of this key, beside that of the plan."),
    click.option("--parallel", type=LIMIT, help="Requests of this key at one time, beside the plan's."),
)


@click.group(cls=Commands)
def keys() -> None:
    """Make, list, change and revoke the API keys that clients send.

    \b
      neuralrouting keys create --name "my laptop"
    """


@keys.command("create")
@click.option("--account", default="default", show_default=True, help="Account that the key belongs to.")
@click.option("--name", default="", help="What the key is for; shown in the list.")
@click.option("--test", is_flag=True, help="A test key: it only reaches simulated and local models.")
@_options
@config_option
@json_option
def create_key(account: str, name: str, *, test: bool, told: dict[str, Any], path: Path | None, as_json: bool) -> None:
    """Make a key and print it, this once: only its digest is stored. An account that is not there is made, too.

    \b
      export OPENAI_API_KEY=$(neuralrouting keys create --name laptop)
      neuralrouting keys create --account acme --team search --requests-per-minute 100
    """
    from neuralrouting.accounts.keys import create_key as make
    from neuralrouting.storage.accounts import AccountRows
    from neuralrouting.storage.keys import KeyOptions, KeyRows

    plan_id, options = load(path).config.billing.default_plan, KeyOptions(**_changes(told))

    async def ask(database: "Database") -> "MintedKey":
        actor = cli_actor()
        await AccountRows(database).ensure(account, account, unix_ms(), plan_id, actor=actor)
        return await make(
            KeyRows(database), account, name, live=not test, now_ms=unix_ms(), actor=actor, options=options
        )

    minted = ask_database(path, ask)
    if as_json:
        facts = {"key": minted.key, "id": minted.id, "account": account, "name": name, "live": not test}
        print_json(facts | option_facts(options))
        return
    click.echo(minted.key)
    click.echo(f"id {minted.id}; this key is not shown again", err=True)


@keys.command("list")
@click.option("--account", help="Only keys of this account.")
@config_option
@json_option
def list_keys(account: str | None, path: Path | None, *, as_json: bool) -> None:
    """List keys: id, account, name, kind, shield, mode, role, team, limits, last four characters, times.

    \b
      neuralrouting keys list --account default --json
    """
    found = _with_keys(path, lambda rows: rows.all(account))
    rows = [key_facts(row) for row in found]
    if as_json:
        print_json(rows)
    elif not rows:
        click.echo("no keys yet; make one with `neuralrouting keys create`")
    else:
        print_table(list(rows[0]), [[str(value or "") for value in row.values()] for row in rows])


@keys.command("set")
@click.argument("key_id", metavar="ID")
@_options
@config_option
@json_option
def set_key(key_id: str, *, told: dict[str, Any], path: Path | None, as_json: bool) -> None:
    """Change the key with this ID (see `keys list`); running gateways obey within two seconds.

    \b
      neuralrouting keys set 0aB3dE6fG9hJ --shield monitor
      neuralrouting keys set 0aB3dE6fG9hJ --team search --tokens-per-minute 50000 --parallel none
    """
    if not told:
        raise click.UsageError("say what to change: see --help")
    from msgspec.structs import replace

    changes = _changes(told)
    options = _with_keys(
        path, lambda rows: rows.change(key_id, lambda had: replace(had, **changes), unix_ms(), actor=cli_actor())
    )
    if options is None:
        raise click.ClickException(f"no key {key_id!r} that could be changed; see `neuralrouting keys list`")
    facts = option_facts(options)
    if as_json:
        print_json({"id": key_id} | facts)
    else:
        shown = (f"{name} {'none' if value is None else value}" for name, value in facts.items())
        click.echo(f"{key_id}: {', '.join(shown)}")


@keys.command("revoke")
@click.argument("key_id", metavar="ID")
@config_option
@json_option
def revoke_key(key_id: str, path: Path | None, *, as_json: bool) -> None:
    """Revoke the key with this ID (see `keys list`); running gateways refuse it within two seconds.

    \b
      neuralrouting keys revoke 0aB3dE6fG9hJ
    """
    if not _with_keys(path, lambda rows: rows.revoke(key_id, unix_ms(), actor=cli_actor())):
        raise click.ClickException(f"no key {key_id!r} that could be revoked; see `neuralrouting keys list`")
    if as_json:
        print_json({"id": key_id, "revoked": True})
    else:
        click.echo(f"revoked {key_id}")


def _changes(told: dict[str, Any]) -> dict[str, Any]:
    """Turn the options that were given into fields of `KeyOptions`."""
    changes = {name: value.value if isinstance(value, Given) else value for name, value in told.items()}
    for name in ("shield_mode", "routing_mode"):
        if changes.get(name) == "default":
            changes[name] = None
    if changes.get("team") == "none":
        changes["team"] = None
    return changes


def _with_keys(path: Path | None, ask: Callable[["KeyRows"], Awaitable[_Result]]) -> _Result:
    from neuralrouting.storage.keys import KeyRows

    return ask_database(path, lambda database: ask(KeyRows(database)))
