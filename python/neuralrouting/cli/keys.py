"""`neuralrouting keys`: make, list, change and revoke API keys."""

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import click

from neuralrouting.cli.options import Commands, ask_database, config_option, json_option, now_ms
from neuralrouting.cli.show import key_facts, print_json, print_table

# Everything else is imported where it is used, so that `--help` starts fast.
# `\b` is click's mark for lines that it must not wrap.
# ruff: noqa: D301, PLC0415

if TYPE_CHECKING:
    from neuralrouting.exchange import ShieldMode
    from neuralrouting.storage.keys import KeyRows

_Result = TypeVar("_Result")
MODES: "dict[str, ShieldMode]" = {"off": "off", "monitor": "monitor", "block": "block"}
_MODE = click.Choice(list(MODES))


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
@click.option("--shield", type=_MODE, help="How the shield treats this key [default: as configured].")
@config_option
@json_option
def create_key(
    account: str, name: str, *, test: bool, shield: "ShieldMode | None", path: Path | None, as_json: bool
) -> None:
    """Make a key and print it, this once: only its digest is stored.

    \b
      export OPENAI_API_KEY=$(neuralrouting keys create --name laptop)
    """
    from neuralrouting.accounts.keys import create_key as make

    minted = _with_keys(
        path, lambda rows: make(rows, account, name, live=not test, now_ms=now_ms(), shield_mode=shield)
    )
    if as_json:
        facts = {"key": minted.key, "id": minted.id, "account": account, "name": name, "live": not test}
        print_json(facts | {"shield": shield or "default"})
        return
    click.echo(minted.key)
    click.echo(f"id {minted.id}; this key is not shown again", err=True)


@keys.command("list")
@click.option("--account", help="Only keys of this account.")
@config_option
@json_option
def list_keys(account: str | None, path: Path | None, *, as_json: bool) -> None:
    """List keys: id, account, name, kind, shield, last four characters, when made, when revoked.

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
@click.option(
    "--shield", type=click.Choice([*MODES, "default"]), required=True, help="How the shield treats this key's requests."
)
@config_option
@json_option
def set_key(key_id: str, shield: str, path: Path | None, *, as_json: bool) -> None:
    """Change the key with this ID (see `keys list`); running gateways obey within two seconds.

    \b
      neuralrouting keys set 0aB3dE6fG9hJ --shield monitor
    """
    mode = MODES.get(shield)
    if not _with_keys(path, lambda rows: rows.set_shield_mode(key_id, mode, now_ms())):
        raise click.ClickException(f"no key {key_id!r} that could be changed; see `neuralrouting keys list`")
    if as_json:
        print_json({"id": key_id, "shield": shield})
    else:
        click.echo(f"{key_id}: shield {shield}")


@keys.command("revoke")
@click.argument("key_id", metavar="ID")
@config_option
@json_option
def revoke_key(key_id: str, path: Path | None, *, as_json: bool) -> None:
    """Revoke the key with this ID (see `keys list`); running gateways refuse it within two seconds.

    \b
      neuralrouting keys revoke 0aB3dE6fG9hJ
    """
    if not _with_keys(path, lambda rows: rows.revoke(key_id, now_ms())):
        raise click.ClickException(f"no key {key_id!r} that could be revoked; see `neuralrouting keys list`")
    if as_json:
        print_json({"id": key_id, "revoked": True})
    else:
        click.echo(f"revoked {key_id}")


def _with_keys(path: Path | None, ask: Callable[["KeyRows"], Awaitable[_Result]]) -> _Result:
    from neuralrouting.storage.keys import KeyRows

    return ask_database(path, lambda database: ask(KeyRows(database)))
