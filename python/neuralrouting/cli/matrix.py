"""`neuralrouting matrix`: what audits have shown of each model at each task, read from the database directly."""

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from neuralrouting.cli.options import (
    Commands,
    account_option,
    ask_database,
    check_account,
    config_option,
    json_option,
    load,
)
from neuralrouting.cli.show import print_json, print_table

# Everything else is imported where it is used, so that `--help` starts fast.
# `\b` is click's mark for lines that it must not wrap.
# ruff: noqa: D301, PLC0415

if TYPE_CHECKING:
    from neuralrouting.storage.confidence import ConfidenceRow
    from neuralrouting.storage.database import Database


@click.group(cls=Commands)
def matrix() -> None:
    """Look at the confidence matrix: which cheaper models are proven at which tasks.

    \b
      neuralrouting matrix show
      neuralrouting matrix rebuild --account acme
    """


@matrix.command()
@config_option
@account_option
@json_option
def show(path: Path | None, account: str, *, as_json: bool) -> None:
    """Show every cell: mean difference to the reference with its 95 % interval, and what follows from it."""
    from neuralrouting.storage.confidence import ConfidenceRows

    async def ask(database: "Database") -> "ConfidenceRow | None":
        await check_account(database, account)
        return await ConfidenceRows(database).find(account)

    _print(ask_database(path, ask), account, as_json=as_json)


@matrix.command()
@config_option
@account_option
@json_option
def rebuild(path: Path | None, account: str, *, as_json: bool) -> None:
    """Build the matrix of an account now; every running gateway serves by it within two seconds.

    Compared with is what the newest audit was compared with, whatever models can be reached from here.
    """
    from neuralrouting.catalog import build_catalog
    from neuralrouting.config import resolved_providers
    from neuralrouting.errors import NotFound
    from neuralrouting.layers.confidence import matrix_settings, prior_head
    from neuralrouting.pipeline.building import Builder

    loaded = load(path)
    # What can be reached from here is of no account: heads start from what a model is.
    known = build_catalog(loaded.config, resolved_providers(loaded.config, os.environ), None).known
    priors = {d.id: prior_head(d) for d in known}
    settings = matrix_settings(loaded.config)

    async def ask(database: "Database") -> "ConfidenceRow | None":
        await check_account(database, account)
        builder = Builder(database, settings, priors.get)
        reference = await builder.reference(account)
        if reference is None:
            raise NotFound(f"no answer of account {account!r} has been compared yet: there is nothing to build from")
        return await builder.build_now(account, reference)

    _print(ask_database(path, ask), account, as_json=as_json)


def _print(row: "ConfidenceRow | None", account: str, *, as_json: bool) -> None:
    from neuralrouting.api.confidence import matrix_fields

    told: dict[str, Any] = {"account": account, **matrix_fields(row, None)}
    if as_json:
        print_json(told)
        return
    click.echo(f"state: {told['state']}")
    if row is None:
        return
    click.echo(f"built: {told['built']} (build {told['seq']})")
    click.echo(f"reference: {told['reference']}")
    click.echo(f"from: {told['audits']} audits, {told['feedback']} words of feedback")
    head = ["candidate", "task", "state", "n", "mean", "95 %", "P", "needed"]
    cells: list[dict[str, Any]] = told["cells"]
    print_table(head, [_cells(cell) for cell in cells])


def _cells(cell: dict[str, Any]) -> list[str]:
    needed = "-" if cell["needed"] is None else str(cell["needed"])
    interval = f"{cell['low']:+.3f} to {cell['high']:+.3f}"
    state = f"{cell['state']}, drifted" if cell["drifted"] else cell["state"]
    return [
        cell["candidate"], cell["task"], state, f"{cell['n']:g}", f"{cell['mean']:+.3f}", interval,
        f"{cell['probability']:.2f}", needed,
    ]  # fmt: skip
