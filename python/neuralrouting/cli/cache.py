"""`neuralrouting cache`: what is stored, what is to go, and why two questions share an answer or do not."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from neuralrouting.cli.options import (
    Commands,
    account_option,
    ask_database,
    check_account,
    cli_actor,
    config_option,
    json_option,
)
from neuralrouting.cli.show import print_json, print_table
from neuralrouting.clock import unix_ms

# Everything else is imported where it is used, so that `--help` starts fast.
# `\b` is click's mark for lines that it must not wrap.
# ruff: noqa: D301, PLC0415

if TYPE_CHECKING:
    from neuralrouting.storage.database import Database


@click.group(cls=Commands)
def cache() -> None:
    """Look into the cache of answers, empty it, and see why a question was not answered from it.

    \b
      neuralrouting cache stats
      neuralrouting cache explain "How do I boil an egg?" "how can i boil an egg"
      neuralrouting cache purge --pattern "opening hours"
    """


@cache.command()
@click.argument("first")
@click.argument("second")
@click.option("--verifier", type=click.Choice(["strict", "std", "off"]), default="strict", show_default=True)
@click.option("--threshold", type=click.FloatRange(0, 1), default=0.92, show_default=True, help="Least cosine.")
@json_option
def explain(first: str, second: str, verifier: str, threshold: float, *, as_json: bool) -> None:
    """Tell whether the answer to the text FIRST would be given to the text SECOND, and what speaks against it.

    \b
      neuralrouting cache explain "Convert 5 miles to km" "Convert 5 km to miles"
    """
    from neuralrouting.engine import compare_questions

    found = compare_questions(first, second, verifier=verifier)
    similar = found.similarity is not None and found.similarity >= threshold
    served = found.unfit is None and (found.canonical or (similar and found.likeness == "same"))
    facts: dict[str, Any] = {
        "served": served,
        "level": None if not served else "canonical" if found.canonical else "semantic",
        "unfit": found.unfit,
        "similarity": None if found.similarity is None else round(found.similarity, 4),
        "likeness": found.likeness,
        "rule": found.rule,
        "words": found.words,
    }
    if as_json:
        print_json(facts)
    else:
        print_table(["", ""], [[name, _shown(value)] for name, value in facts.items()])


@cache.command()
@config_option
@account_option
@json_option
def stats(path: Path | None, account: str, *, as_json: bool) -> None:
    """Count the stored answers of an account, and how many of those given again were judged, and wrong."""
    from neuralrouting.intervals import wilson
    from neuralrouting.storage.entries import EntryRows
    from neuralrouting.storage.judgements import Judgements

    async def ask(database: "Database") -> dict[str, Any]:
        await check_account(database, account)
        sums = await EntryRows(database).statistics(account, unix_ms())
        counts = await Judgements(database).counts(account)
        judged = sum(verdicts.judged for verdicts in counts.values())
        wrong = sum(verdicts.disagreed for verdicts in counts.values())
        return sums | {"judged_hits": judged, "wrong_hits": wrong, "wrong_hit_interval": wilson(wrong, judged)}

    facts = ask_database(path, ask)
    if as_json:
        print_json(facts)
    else:
        by_deployment = [f"{one['deployment']}: {one['entries']}" for one in facts["deployments"]]
        shown = facts | {"deployments": by_deployment or None}
        print_table(["", ""], [[name, _shown(value)] for name, value in shown.items()])


@cache.command()
@config_option
@account_option
@click.option("--all", "everything", is_flag=True, help="Every answer of the account.")
@click.option("--entry", metavar="HEX", help="One answer, as `x-nr-cache` names it.")
@click.option("--scope", metavar="HEX", help="The answers of one scope.")
@click.option("--pattern", metavar="TEXT", help="Answers whose text has this in it, in capitals or not.")
@json_option
def purge(  # noqa: PLR0913  each is an option
    path: Path | None, account: str, *, everything: bool, entry: str | None, scope: str | None, pattern: str | None,
    as_json: bool,
) -> None:  # fmt: skip
    """Delete stored answers of an account. Every running gateway forgets them within two seconds.

    \b
      neuralrouting cache purge --pattern "opening hours"
      neuralrouting cache purge --account acme --all
    """
    from neuralrouting.errors import InvalidField
    from neuralrouting.storage.purges import Purges, key_of

    if everything == any(part is not None for part in (entry, scope, pattern)):
        raise InvalidField("say what is to go: either --all, or --entry, --scope, --pattern")
    key = None if entry is None else key_of(entry, "--entry")
    only = None if scope is None else key_of(scope, "--scope")

    async def ask(database: "Database") -> int:
        await check_account(database, account)
        return await Purges(database).purge(
            account, key=key, scope=only, pattern=pattern, now_ms=unix_ms(), actor=cli_actor()
        )

    purged = ask_database(path, ask)
    if as_json:
        print_json({"account": account, "purged": purged})
    else:
        click.echo(f"{purged} stored answers are gone")


def _shown(value: object) -> str:
    if isinstance(value, list | tuple):
        return "  |  ".join(_shown(part) for part in value)
    return "-" if value is None else f"{value:g}" if isinstance(value, float) else str(value)
