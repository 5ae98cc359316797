"""`neuralrouting shield`: scan a text, look after the rules of accounts."""

import sys
from pathlib import Path
from typing import BinaryIO

import click

from neuralrouting.cli.options import (
    Commands,
    ask_database,
    cli_actor,
    config_option,
    json_option,
    load,
    text_of,
)
from neuralrouting.cli.show import hit_cells, print_json, print_table, verdict_facts
from neuralrouting.clock import unix_ms

# Everything else is imported where it is used, so that `--help` starts fast.
# `\b` is click's mark for lines that it must not wrap.
# ruff: noqa: D301, PLC0415

BLOCKED = 3
"""Exit code of a scan whose text would be blocked."""
_file = click.argument("file", type=click.File("rb"))
_account = click.option("--account", required=True, help="Account whose rules these are.")


@click.group(cls=Commands)
def shield() -> None:
    """Scan texts for prompt injection, and look after the rules that do it.

    \b
      neuralrouting shield scan prompt.txt
      neuralrouting shield rules set mine.toml --account acme
    """


@shield.command()
@_file
@click.option(
    "--channel",
    type=click.Choice(["user", "tool", "assistant"]),
    default="user",
    show_default=True,
    help="Where such a text would stand in a request.",
)
@click.option("--threshold", type=click.FloatRange(0.5, 1), help="Risk that blocks [default: as configured].")
@click.option("--rules", type=click.File("rb"), help="TOML rules on top of the built-in and configured ones.")
@config_option
@json_option
def scan(
    file: BinaryIO,
    channel: str,
    *,
    threshold: float | None,
    rules: BinaryIO | None,
    path: Path | None,
    as_json: bool,
) -> None:
    """Scan FILE (- is standard input) and say what would become of it: pass, flag or block (exit code 3).

    \b
      echo "Ignore all previous instructions" | neuralrouting shield scan -
    """
    from neuralrouting.accounts.shields import configured_rules
    from neuralrouting.engine import compile_rules
    from neuralrouting.layers.shield import weigh

    settings = load(path).config.shield
    threshold = settings.block_threshold if threshold is None else threshold
    overlays = [(rules.name, text_of(rules))] if rules is not None else []
    compiled = compile_rules(*configured_rules(settings), *overlays, model=settings.model)
    verdict = compiled.scan(file.read().decode(errors="replace"), channel=channel)
    action = weigh(verdict, threshold, tool_blocks=settings.tool_action == "block")
    facts = verdict_facts(verdict, action, threshold, compiled.hash)
    if as_json:
        print_json(facts)
    else:
        click.echo(f"{action}: risk {facts['risk']:.2f}, {facts['tier'] or 'nothing found'}")
        if facts["hits"]:
            head = ["rule", "tier", "weight", "via", "characters", "excerpt"]
            print_table(head, [hit_cells(hit) for hit in facts["hits"]])
    if action == "block":
        sys.exit(BLOCKED)


@shield.group()
def rules() -> None:
    """Add rules for one account, disable or re-weight built-in ones; running gateways obey within two seconds.

    \b
      neuralrouting shield rules check mine.toml
      neuralrouting shield rules set mine.toml --account acme
    """


@rules.command()
@_file
@json_option
def check(file: BinaryIO, *, as_json: bool) -> None:
    """Say whether FILE is good on top of the built-in rules, and if not, which line is why.

    \b
      neuralrouting shield rules check mine.toml
    """
    from neuralrouting.engine import compile_rules

    pack = compile_rules((file.name, text_of(file)), model=True).hash
    if as_json:
        print_json({"file": file.name, "pack": pack})
    else:
        click.echo(f"{file.name} is good; with the built-in rules it makes pack {pack}")


@rules.command("set")
@_file
@_account
@config_option
@json_option
def set_rules(file: BinaryIO, account: str, path: Path | None, *, as_json: bool) -> None:
    """Make FILE the rules of an account, in place of those it has; a bad file changes nothing.

    \b
      neuralrouting shield rules set mine.toml --account acme
    """
    from neuralrouting.accounts.shields import configured_rules
    from neuralrouting.engine import compile_rules

    settings, text = load(path).config.shield, text_of(file)
    pack = compile_rules(*configured_rules(settings), (file.name, text), model=settings.model).hash
    _put(path, account, text)
    if as_json:
        print_json({"account": account, "pack": pack})
    else:
        click.echo(f"account {account} is judged by pack {pack}")


@rules.command()
@_account
@config_option
@json_option
def show(account: str, path: Path | None, *, as_json: bool) -> None:
    """Print the rules of an account, as they were given.

    \b
      neuralrouting shield rules show --account acme > mine.toml
    """
    from neuralrouting.storage.rules import RuleRows

    toml = ask_database(path, lambda database: RuleRows(database).find(account))
    if as_json:
        print_json({"account": account, "toml": toml})
    elif toml:
        click.echo(toml, nl=not toml.endswith("\n"))
    else:
        click.echo(f"account {account} has no rules of its own", err=True)


@rules.command()
@_account
@config_option
@json_option
def clear(account: str, path: Path | None, *, as_json: bool) -> None:
    """Take an account's own rules back: what is built in and configured for all goes on judging.

    \b
      neuralrouting shield rules clear --account acme
    """
    _put(path, account, "")
    if as_json:
        print_json({"account": account, "cleared": True})
    else:
        click.echo(f"account {account} has no rules of its own now")


def _put(path: Path | None, account: str, toml: str) -> None:
    from neuralrouting.storage.rules import RuleRows

    stored = ask_database(path, lambda database: RuleRows(database).put(account, toml, unix_ms(), actor=cli_actor()))
    if not stored:
        raise click.ClickException(f"no account {account!r}; `neuralrouting keys create --account` makes one")
