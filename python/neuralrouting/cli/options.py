"""What the commands share: options, the configuration, one question to the database, errors in one line."""

import getpass
import os
from collections.abc import Awaitable, Callable
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, TypeVar

import click

from neuralrouting.errors import ConfigError, NeuralRoutingError

# Everything else is imported where it is used, so that `--help` starts fast.
# ruff: noqa: PLC0415

if TYPE_CHECKING:
    from neuralrouting.catalog import Catalog
    from neuralrouting.config import Loaded
    from neuralrouting.storage.database import Database
    from neuralrouting.storage.trail import Actor

_Result = TypeVar("_Result")

config_option = click.option(
    "--config",
    "path",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Configuration file; else $NEURALROUTING_CONFIG, else ./neuralrouting.yaml.",
)
json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON.")
account_option = click.option("--account", default="default", show_default=True, help="Account that it is about.")
_Command = Callable[..., None]


def bundled(into: str, *options: Callable[[_Command], _Command]) -> Callable[[_Command], _Command]:
    """Add options to a command that takes them together: as one mapping of those that were given, named `into`."""

    def add(command: _Command) -> _Command:
        bare: _Command = lambda: None  # noqa: E731  click notes its parameters on whatever it decorates
        for option in reversed(options):
            option(bare)
        names = [parameter.name for parameter in getattr(bare, "__click_params__", [])]

        @wraps(command)
        def run(**values: Any) -> None:  # noqa: ANN401  what options hold
            told = {name: values.pop(name) for name in names}
            command(**values, **{into: {name: value for name, value in told.items() if value is not None}})

        for option in reversed(options):
            option(run)
        return run

    return add


class Commands(click.Group):
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


def load(path: Path | None, overrides: dict[str, Any] | None = None) -> "Loaded":
    """Read the configuration as `serve` would; raises ConfigError."""
    from neuralrouting.config import read

    return read(path, os.environ, overrides)


def ask_database(path: Path | None, ask: Callable[["Database"], Awaitable[_Result]]) -> _Result:
    """Open the configured database, ask it one thing, close it; what it refuses is a ClickException."""
    import asyncio

    from neuralrouting.storage.database import RowError, open_database

    settings = load(path).config

    async def run() -> _Result:
        database = await open_database(settings.database_url, Path(settings.data_dir))
        try:
            return await ask(database)
        except RowError as error:
            raise click.ClickException(str(error)) from error
        finally:
            await database.close()

    return asyncio.run(run())


def catalog_of(loaded: "Loaded") -> "Catalog":
    """Build the catalog of what the configuration and this machine can reach, with the prices of today."""
    from neuralrouting.catalog import build_catalog
    from neuralrouting.config import resolved_providers
    from neuralrouting.providers.local import find_model

    local = find_model(loaded.config.local)
    providers = resolved_providers(loaded.config, os.environ)
    return build_catalog(loaded.config, providers, local.name if local is not None else None)


async def check_account(database: "Database", account: str) -> None:
    """Raise NotFound for an account that does not exist: one that is misspelt must not look like an empty one."""
    from neuralrouting.storage.accounts import AccountRows, no_account

    if await AccountRows(database).find(account) is None:
        raise no_account(account)


def text_of(file: BinaryIO) -> str:
    """Read a file or standard input to its end; raises ConfigError where it is not UTF-8."""
    try:
        return file.read().decode()
    except UnicodeDecodeError as error:
        raise ConfigError(f"{file.name}: not UTF-8 ({error})") from error


def cli_actor() -> "Actor":
    """Return who acts by a command, for the trail: the user of the operating system."""
    from neuralrouting.storage.trail import Actor

    try:
        name = getpass.getuser()
    except (KeyError, OSError):  # a user without a name, as in a container
        name = str(os.getuid())
    return Actor(f"cli:{name}")
