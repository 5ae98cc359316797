"""The command line: starts the gateway, makes keys, shows models, checks the configuration."""

import os
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from neuralrouting.cli.show import key_facts, model_cells, model_facts, print_json, print_table
from neuralrouting.errors import NeuralRoutingError

# Everything else is imported where it is used, so that `--help` starts fast.
# `\b` is click's mark for lines that it must not wrap.
# ruff: noqa: D301, PLC0415

if TYPE_CHECKING:
    from neuralrouting.catalog import Catalog
    from neuralrouting.config import Loaded
    from neuralrouting.storage.keys import KeyRows

_Result = TypeVar("_Result")


class _Commands(click.Group):
    """Commands whose errors are one line on stderr and exit code 1, never a traceback."""

    def invoke(self, ctx: click.Context) -> Any:  # noqa: ANN401  what a command returns
        """Run the command that was asked for."""
        try:
            return super().invoke(ctx)
        except NeuralRoutingError as error:
            raise click.ClickException(error.message) from error
        except OSError as error:
            raise click.ClickException(str(error)) from error
        except ModuleNotFoundError as error:
            raise click.ClickException(
                f"{error}; install it beside neuralrouting, or build the package anew"
            ) from error


_config = click.option(
    "--config",
    "path",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Configuration file; else $NEURALROUTING_CONFIG, else ./neuralrouting.yaml.",
)
_json = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
def main() -> None:
    """One OpenAI-compatible endpoint that sends every prompt to the cheapest model that can answer it.

    \b
    Start here:
      neuralrouting serve              start the gateway on http://127.0.0.1:8080
      neuralrouting keys create        make an API key for it
      neuralrouting models             what it can reach, and what each model costs
      neuralrouting demo               see it answer 20 prompts and what that saved

    Exit codes: 0 done, 1 failed, 2 wrong use.
    """


@main.command()
@click.option("--host", help="Address to listen on [default: 127.0.0.1].")
@click.option("--port", type=click.IntRange(0, 65535), help="Port to listen on [default: 8080].")
@click.option("--workers", type=click.IntRange(1), help="Processes that serve requests [default: 1].")
@_config
def serve(host: str | None, port: int | None, workers: int | None, path: Path | None) -> None:
    """Start the gateway and serve until it is told to stop.

    Provider keys come from the environment, and flags win over environment and file:

    \b
      OPENAI_API_KEY=sk-... neuralrouting serve --port 9000
    """
    loaded = _load(path, {"server": {"host": host, "port": port, "workers": workers}})
    from neuralrouting.serve import serve as run

    run(loaded.config, loaded.path)


@main.command()
@click.option("--once", is_flag=True, help="Stop after the table instead of serving on.")
@click.option("--port", type=click.IntRange(0, 65535), help="Port to listen on [default: 8080].")
@_config
def demo(*, once: bool, port: int | None, path: Path | None) -> None:
    """Start a gateway, send about 20 prompts through the OpenAI client and show what each cost and saved.

    \b
      neuralrouting demo --once
    """
    loaded = _load(path, {"server": {"port": port}})
    from neuralrouting.demo import run

    run(loaded.config, once=once)


@main.group()
def keys() -> None:
    """Make, list and revoke the API keys that clients send.

    \b
      neuralrouting keys create --name "my laptop"
    """


@keys.command("create")
@click.option("--account", default="default", show_default=True, help="Account that the key belongs to.")
@click.option("--name", default="", help="What the key is for; shown in the list.")
@click.option("--test", is_flag=True, help="A test key: it only reaches simulated and local models.")
@_config
@_json
def create_key(account: str, name: str, *, test: bool, path: Path | None, as_json: bool) -> None:
    """Make a key and print it, this once: only its digest is stored.

    \b
      export OPENAI_API_KEY=$(neuralrouting keys create --name laptop)
    """
    from neuralrouting.accounts.keys import create_key as make

    minted = _with_keys(path, lambda rows: make(rows, account, name, live=not test, now_ms=_now_ms()))
    if as_json:
        print_json({"key": minted.key, "id": minted.id, "account": account, "name": name, "live": not test})
        return
    click.echo(minted.key)
    click.echo(f"id {minted.id}; this key is not shown again", err=True)


@keys.command("list")
@click.option("--account", help="Only keys of this account.")
@_config
@_json
def list_keys(account: str | None, path: Path | None, *, as_json: bool) -> None:
    """List keys: id, account, name, kind, last four characters, when made, when revoked.

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


@keys.command("revoke")
@click.argument("key_id", metavar="ID")
@_config
@_json
def revoke_key(key_id: str, path: Path | None, *, as_json: bool) -> None:
    """Revoke the key with this ID (see `keys list`); running gateways refuse it within two seconds.

    \b
      neuralrouting keys revoke 0aB3dE6fG9hJ
    """
    if not _with_keys(path, lambda rows: rows.revoke(key_id, _now_ms())):
        raise click.ClickException(f"no key {key_id!r} that could be revoked; see `neuralrouting keys list`")
    if as_json:
        print_json({"id": key_id, "revoked": True})
    else:
        click.echo(f"revoked {key_id}")


@main.command()
@_config
@_json
def models(path: Path | None, *, as_json: bool) -> None:
    """Show every known model: tier, context, prices, abilities, and whether it can be reached or why not.

    Prices are US dollars per million tokens, as the price list has them today.

    \b
      neuralrouting models --json | jq '.[] | select(.servable) | .id'
    """
    catalog = _catalog(_load(path))
    rows = [model_facts(d, catalog) for d in (*catalog.known, *(d for d in catalog.servable if d.simulated))]
    if as_json:
        print_json(rows)
        return
    head = ["model", "provider", "tier", "context", "$ in", "$ out", "can", "reached"]
    print_table(head, [model_cells(row) for row in rows])


@main.group()
def config() -> None:
    """Look at the configuration.

    \b
      neuralrouting config check
    """


@config.command("check")
@_config
@_json
def check_config(path: Path | None, *, as_json: bool) -> None:
    """Read file and environment as `serve` would, and say what is wrong, unused or looks like a slip.

    Warnings are no failure; an error is (exit code 1).

    \b
      neuralrouting config check --config litellm.yaml
    """
    from neuralrouting.config import near_misses, resolved_providers

    loaded = _load(path)
    providers = resolved_providers(loaded.config, os.environ)
    notices = [*loaded.notices, *_catalog(loaded).notices]
    facts: dict[str, Any] = {
        "file": str(loaded.path) if loaded.path else None,
        "providers": {name: endpoint.base_url for name, endpoint in providers.items()},
        "notices": notices,
        "warnings": list(near_misses(os.environ, loaded.config)),
    }
    if as_json:
        print_json(facts)
        return
    click.echo(f"file: {facts['file'] or 'none; defaults and environment'}")
    for name, url in facts["providers"].items():
        click.echo(f"provider: {name} at {url}")
    for kind in ("notices", "warnings"):
        for line in facts[kind]:
            click.echo(f"{kind[:-1]}: {line}")
    click.echo("configuration is good")


@main.command()
@_json
def version(*, as_json: bool) -> None:
    """Print the version of the package and of its native module."""
    from importlib.metadata import PackageNotFoundError
    from importlib.metadata import version as installed

    from neuralrouting.engine import version as native

    try:
        facts = {"neuralrouting": installed("neuralrouting"), "native": native()}
    except PackageNotFoundError:
        facts = {"neuralrouting": "not installed, run from its sources", "native": native()}
    if as_json:
        print_json(facts)
    else:
        click.echo(f"neuralrouting {facts['neuralrouting']} (native {facts['native']})")


def _load(path: Path | None, overrides: dict[str, Any] | None = None) -> "Loaded":
    from neuralrouting.config import read

    return read(path, os.environ, overrides)


def _catalog(loaded: "Loaded") -> "Catalog":
    from neuralrouting.catalog import build_catalog
    from neuralrouting.config import resolved_providers
    from neuralrouting.providers.local import find_model

    local = find_model(loaded.config.local)
    providers = resolved_providers(loaded.config, os.environ)
    return build_catalog(loaded.config, providers, local.name if local is not None else None)


def _with_keys(path: Path | None, ask: Callable[["KeyRows"], Awaitable[_Result]]) -> _Result:
    """Open the configured database, ask it one thing about keys, close it."""
    import asyncio

    from neuralrouting.storage.database import RowError, open_database
    from neuralrouting.storage.keys import KeyRows

    settings = _load(path).config

    async def run() -> _Result:
        database = await open_database(settings.database_url, Path(settings.data_dir))
        try:
            return await ask(KeyRows(database))
        except RowError as error:
            raise click.ClickException(str(error)) from error
        finally:
            await database.close()

    return asyncio.run(run())


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
