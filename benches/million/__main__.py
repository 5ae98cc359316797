"""The command line of the generator."""

import asyncio
import time
from pathlib import Path

import click

from neuralrouting.storage.database import open_database

from . import ACCOUNTS, seed


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--requests", default=1_000_000, show_default=True, help="Rows of all accounts together.")
@click.option("--days", default=90, show_default=True, help="How many days they are spread over, today included.")
@click.option("--seed", "number", default=7, show_default=True, help="The same number makes the same rows.")
@click.option("--url", help="A PostgreSQL address; without it SQLite in the data directory.")
@click.option("--data-dir", type=click.Path(file_okay=False, path_type=Path), help="Where SQLite's file goes.")
def main(requests: int, days: int, number: int, url: str | None, data_dir: Path | None) -> None:
    """Fill an empty database with made-up requests and all that hangs on them."""
    if (url is None) == (data_dir is None):
        raise click.UsageError("say where to: --data-dir or --url")
    started_s = time.perf_counter()
    seeded = asyncio.run(_fill(url, data_dir or Path(), requests, days, number))
    for account in seeded.accounts:
        click.echo(f"{account.id:12}{account.requests:>10,} requests   owner's key {account.owner_key}")
    click.echo(f"written in {time.perf_counter() - started_s:.0f} s")


async def _fill(url: str | None, data_dir: Path, requests: int, days: int, number: int):  # noqa: ANN202
    database = await open_database(url, data_dir)
    try:
        return await seed(database, requests, days, number, ACCOUNTS)
    finally:
        await database.close()


if __name__ == "__main__":
    main()
