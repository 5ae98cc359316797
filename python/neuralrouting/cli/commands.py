"""The command line: starts the gateway, shows models, checks the configuration; the other groups are beside it."""

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from neuralrouting.cli.accounts import accounts
from neuralrouting.cli.budgets import budgets
from neuralrouting.cli.cache import cache
from neuralrouting.cli.classify import classify
from neuralrouting.cli.completion import completion
from neuralrouting.cli.credits import credits_
from neuralrouting.cli.evaluate import evaluate
from neuralrouting.cli.explain import explain
from neuralrouting.cli.keys import keys
from neuralrouting.cli.ledger import ledger
from neuralrouting.cli.matrix import matrix
from neuralrouting.cli.options import Commands, catalog_of, config_option, json_option, load
from neuralrouting.cli.plans import plans
from neuralrouting.cli.report import report
from neuralrouting.cli.routing import routing
from neuralrouting.cli.shadow import shadow
from neuralrouting.cli.shield import shield
from neuralrouting.cli.show import model_cells, model_facts, print_json, print_table
from neuralrouting.cli.tail import tail
from neuralrouting.cli.top import top
from neuralrouting.cli.trail import trail
from neuralrouting.cli.usage import audit, usage
from neuralrouting.cli.users import users

# Everything else is imported where it is used, so that `--help` starts fast.
# `\b` is click's mark for lines that it must not wrap.
# ruff: noqa: D301, PLC0415

if TYPE_CHECKING:
    from neuralrouting.config import SemanticCacheConfig


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
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


main.add_command(keys)
main.add_command(accounts)
main.add_command(plans)
main.add_command(budgets)
main.add_command(credits_)
main.add_command(ledger)
main.add_command(trail)
main.add_command(matrix)
main.add_command(shield)
main.add_command(shadow)
main.add_command(cache)
main.add_command(classify)
main.add_command(routing)
main.add_command(evaluate)
main.add_command(explain)
main.add_command(usage)
main.add_command(top)
main.add_command(report)
main.add_command(audit)
main.add_command(tail)
main.add_command(users)
main.add_command(completion)


@main.command()
@click.option("--host", help="Address to listen on [default: 127.0.0.1].")
@click.option("--port", type=click.IntRange(0, 65535), help="Port to listen on [default: 8080].")
@click.option("--workers", type=click.IntRange(1), help="Processes that serve requests [default: 1].")
@config_option
def serve(host: str | None, port: int | None, workers: int | None, path: Path | None) -> None:
    """Start the gateway and serve until it is told to stop.

    Provider keys come from the environment, and flags win over environment and file:

    \b
      OPENAI_API_KEY=sk-... neuralrouting serve --port 9000
    """
    loaded = load(path, {"server": {"host": host, "port": port, "workers": workers}})
    from neuralrouting.serve import serve as run

    run(loaded.config, loaded.path)


@main.command()
@click.option("--once", is_flag=True, help="Stop after the table instead of serving on.")
@click.option("--port", type=click.IntRange(0, 65535), help="Port to listen on [default: 8080].")
@config_option
def demo(*, once: bool, port: int | None, path: Path | None) -> None:
    """Start a gateway, send about 20 prompts through the OpenAI client and show what each cost and saved.

    \b
      neuralrouting demo --once
    """
    loaded = load(path, {"server": {"port": port}})
    from neuralrouting.demo import run

    run(loaded.config, once=once)


@main.command()
@config_option
@json_option
def models(path: Path | None, *, as_json: bool) -> None:
    """Show every known model: tier, context, prices, abilities, and whether it can be reached or why not.

    Prices are US dollars per million tokens, as the price list has them today.

    \b
      neuralrouting models --json | jq '.[] | select(.servable) | .id'
    """
    catalog = catalog_of(load(path))
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
@config_option
@json_option
def check_config(path: Path | None, *, as_json: bool) -> None:
    """Read file and environment as `serve` would, and say what is wrong, unused or looks like a slip.

    Warnings are no failure; an error is (exit code 1).

    \b
      neuralrouting config check --config litellm.yaml
    """
    from neuralrouting.accounts.shields import configured_rules
    from neuralrouting.config import near_misses, resolved_providers
    from neuralrouting.engine import compile_rules

    loaded = load(path)
    providers = resolved_providers(loaded.config, os.environ)
    shield = loaded.config.shield
    pack = compile_rules(*configured_rules(shield), model=shield.model).hash
    embedder = _embedder(loaded.config.semantic_cache)
    notices = [*loaded.notices, *catalog_of(loaded).notices]
    facts: dict[str, Any] = {
        "file": str(loaded.path) if loaded.path else None,
        "providers": {name: endpoint.base_url for name, endpoint in providers.items()},
        "shield": {"mode": shield.mode, "pack": pack},
        "embedder": embedder,
        "notices": notices,
        "warnings": list(near_misses(os.environ, loaded.config)),
    }
    if as_json:
        print_json(facts)
        return
    click.echo(f"file: {facts['file'] or 'none; defaults and environment'}")
    for name, url in facts["providers"].items():
        click.echo(f"provider: {name} at {url}")
    click.echo(f"shield: {shield.mode}, pack {pack}")
    click.echo(f"embedder: {embedder}")
    for kind in ("notices", "warnings"):
        for line in facts[kind]:
            click.echo(f"{kind[:-1]}: {line}")
    click.echo("configuration is good")


@main.command()
@json_option
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


def _embedder(settings: "SemanticCacheConfig") -> str:
    """Name the embedder that has the last word; raises ConfigError where its model cannot be had. Calls no endpoint."""
    import asyncio

    from neuralrouting.providers.deciders import open_decider
    from neuralrouting.providers.http import HttpClient

    async def name() -> str:
        async with open_decider(settings, HttpClient()) as decider:
            return "builtin" if decider is None else decider.id

    return asyncio.run(name())
