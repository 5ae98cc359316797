"""`neuralrouting report`: the monthly report as PDF or JSON, without a running gateway."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from neuralrouting.cli.options import (
    account_option,
    ask_database,
    bundled,
    catalog_of,
    config_option,
    json_option,
    load,
)
from neuralrouting.cli.show import print_json
from neuralrouting.clock import unix_ms

# Everything else is imported where it is used, so that `--help` starts fast.
# `\b` is click's mark for lines that it must not wrap.
# ruff: noqa: D301, PLC0415

if TYPE_CHECKING:
    from neuralrouting.reports.calendar import Month
    from neuralrouting.reports.month import MonthlyReport
    from neuralrouting.storage.attribution import Attribution
    from neuralrouting.storage.database import Database

narrowing = tuple(
    click.option(f"--{name}", name, help=text)
    for name, text in (
        ("user", "Only this end user's; '' is those without one."),
        ("feature", "Only this feature's."),
        ("team", "Only this team's."),
        ("model", "Only this deployment's (provider/model) or this model's."),
        ("key", "Only the requests of the key with this id."),
        ("endpoint", "Only this endpoint's."),
    )
)


@click.command()
@click.argument("month", metavar="[MONTH]", required=False)
@account_option
@bundled("told", *narrowing)
@click.option("-o", "--output", help="File to write; - is standard output [default: neuralrouting-ACCOUNT-MONTH.pdf].")
@config_option
@json_option
def report(
    month: str | None, account: str, told: dict[str, str], output: str | None, path: Path | None, *, as_json: bool
) -> None:
    """Make the report of a month (2026-11; without one: of the last month that has ended, in UTC) as PDF.

    A month that has not ended is labelled as such. With --json all its figures are printed instead.

    \b
      neuralrouting report 2026-11 --account acme -o november.pdf
      neuralrouting report 2026-11 --json | jq .total.saved_usd
    """
    if as_json and output is not None:
        raise click.UsageError("--json prints, -o writes a PDF: not both")
    from neuralrouting.api.filters import attribution
    from neuralrouting.errors import Unavailable
    from neuralrouting.reports.calendar import month_of, read_month
    from neuralrouting.reports.facts import report_body
    from neuralrouting.reports.typeset import MISSING, installed, typeset

    wanted_month = month_of(unix_ms()).on(-1) if month is None else read_month(month, unix_ms())
    if not as_json and not installed():
        raise Unavailable(MISSING, code="not_installed")
    _say(f"reading {wanted_month} of {account} ...")
    found = _read(path, account, wanted_month, attribution(told))
    if as_json:
        print_json(report_body(found))
        return
    _say("setting the pages ...")
    pdf = typeset(found)
    if output == "-":
        sys.stdout.buffer.write(pdf)
        return
    place = Path(output or f"neuralrouting-{account}-{wanted_month}.pdf")
    place.write_bytes(pdf)
    click.echo(f"{place}: {wanted_month.title}{'' if found.over else ' so far'}, {len(pdf):,} bytes")


def _read(path: Path | None, account: str, month: "Month", wanted: "Attribution") -> "MonthlyReport":
    from neuralrouting.layers.confidence import matrix_settings
    from neuralrouting.reports.reading import Reports

    loaded = load(path)
    catalog = catalog_of(loaded)

    async def ask(database: "Database") -> "MonthlyReport":
        reports = Reports(database, catalog, matrix_settings(loaded.config))
        return await reports.month(account, month, unix_ms(), wanted)

    return ask_database(path, ask)


def _say(what: str) -> None:
    """Say how far it is, to who is looking; a pipe or a file is told nothing."""
    if sys.stderr.isatty():
        click.echo(what, err=True)
