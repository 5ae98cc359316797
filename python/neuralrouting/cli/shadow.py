"""`neuralrouting shadow`: what comparisons behind the requests have found, and a person's word on them."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from neuralrouting.cli.options import (
    Commands,
    account_option,
    ask_database,
    bundled,
    cli_actor,
    config_option,
    json_option,
    load,
)
from neuralrouting.cli.show import print_json, print_table
from neuralrouting.clock import unix_ms

# Everything else is imported where it is used, so that `--help` starts fast.
# `\b` is click's mark for lines that it must not wrap.
# ruff: noqa: D301, PLC0415

if TYPE_CHECKING:
    from neuralrouting.storage.database import Database

_COLUMNS = ("id", "task", "candidate", "reference", "verdict", "method", "reason", "human")


@click.group(cls=Commands)
def shadow() -> None:
    """See how cheaper models did against the reference, and judge them yourself.

    \b
      neuralrouting shadow status
      neuralrouting shadow audits --verdict lose --task coding
      neuralrouting shadow verdict aud_0123456789abcdef01234567 tie
    """


@shadow.command()
@config_option
@account_option
@json_option
def status(path: Path | None, account: str, *, as_json: bool) -> None:
    """Count the audits of an account by how they ended, and tell what they cost today.

    What a running gateway has drawn and dropped, only it knows: see `GET /v1/shadow`.
    """
    from neuralrouting.api.shadow import shadow_figures
    from neuralrouting.storage.shadow_audits import ShadowAudits

    settings = load(path).config.shadow

    async def ask(database: "Database") -> dict[str, Any]:
        await _check_account(database, account)
        return await shadow_figures(ShadowAudits(database), account, settings, unix_ms())

    figures = ask_database(path, ask)
    if as_json:
        print_json(figures)
        return
    names = ("audits", "win", "tie", "lose", "not_judged", "failed", "cost_usd")
    rows = [[kind, *(str(figures[kind][name]) for name in names)] for kind in ("answers", "cache", "simulated")]
    print_table(["", *names], rows)
    today, judge = figures["today"], figures["judge"]
    click.echo(f"today ${today['cost_usd']} of ${today['budget_usd']}")
    if judge["judged"]:
        low, high = judge["interval"]
        click.echo(f"the judge agrees with people on {judge['agreed']} of {judge['judged']} ({low:.0%} to {high:.0%})")


@shadow.command()
@config_option
@account_option
@bundled(
    "told",
    click.option("--kind", type=click.Choice(["answer", "cache"])),
    click.option("--task", metavar="TASK"),
    click.option("--candidate", metavar="ID", help="Deployment, such as openai/gpt-4o-mini."),
    click.option("--verdict", type=click.Choice(["win", "tie", "lose", "none"]), help="none: not judged."),
)
@click.option("--limit", type=click.IntRange(1, 1_000), default=20, show_default=True)
@json_option
def audits(path: Path | None, account: str, told: dict[str, str], limit: int, *, as_json: bool) -> None:
    """List audits, newest first."""
    from neuralrouting.api.shadow import audit_fields, shadow_filter
    from neuralrouting.storage.shadow_audits import ShadowAudits

    async def ask(database: "Database") -> list[dict[str, Any]]:
        await _check_account(database, account)
        found = await ShadowAudits(database).page(account, shadow_filter(told), limit)
        return [audit_fields(audit) for audit in found]

    found = ask_database(path, ask)
    if as_json:
        print_json(found)
    else:
        print_table(list(_COLUMNS), [[str(audit[name] or "-") for name in _COLUMNS] for audit in found])


@shadow.command()
@click.argument("audit")
@click.argument("said", type=click.Choice(["win", "tie", "lose", "none"]))
@config_option
@account_option
def verdict(audit: str, said: str, path: Path | None, account: str) -> None:
    """Say how the candidate did in one AUDIT, by your own judgement; `none` takes it back.

    People's verdicts tell how far the judge can be trusted.
    """
    from neuralrouting.api.shadow import shadow_filter
    from neuralrouting.errors import NotFound
    from neuralrouting.storage.shadow_audits import ShadowAudits

    wanted = shadow_filter({"verdict": said}).verdict
    human = None if wanted == "none" else wanted

    async def ask(database: "Database") -> bool:
        await _check_account(database, account)
        return await ShadowAudits(database).judge_as_person(account, audit, human, unix_ms(), actor=cli_actor())

    if not ask_database(path, ask):
        raise NotFound(f"no shadow audit {audit[:64]!r} of account {account}")
    click.echo(f"{audit}: {said}")


async def _check_account(database: "Database", account: str) -> None:
    """Raise NotFound for an account that does not exist: one that is misspelt must not look like one without audits."""
    from neuralrouting.storage.accounts import AccountRows, no_account

    if await AccountRows(database).find(account) is None:
        raise no_account(account)
