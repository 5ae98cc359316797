"""`neuralrouting plans`: what accounts may do, as data."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from neuralrouting.cli.amounts import LIMIT, MONTHLY, PRICE, Given, credits_text, decimal_text
from neuralrouting.cli.options import (
    Commands,
    ask_database,
    bundled,
    cli_actor,
    config_option,
    json_option,
    load,
)
from neuralrouting.cli.show import limit_text, print_json, print_table
from neuralrouting.clock import unix_ms

# Everything else is imported where it is used, so that `--help` starts fast.
# `\b` is click's mark for lines that it must not wrap.
# ruff: noqa: D301, PLC0415

if TYPE_CHECKING:
    from neuralrouting.exchange import Plan
    from neuralrouting.storage.database import Database


@click.group(cls=Commands)
def plans() -> None:
    """List, define and remove plans: limits, routing modes, credits of a month.

    \b
      neuralrouting plans set team --price 49 --monthly-credits 100000 --requests-per-minute 120 --modes auto,cost
    """


@plans.command("list")
@config_option
@json_option
def list_plans(path: Path | None, *, as_json: bool) -> None:
    """List plans, cheapest first; those that do not count credits come last.

    \b
      neuralrouting plans list
    """
    from neuralrouting.accounts.plans import cheapest_first
    from neuralrouting.storage.plans import PlanRows

    found = cheapest_first(ask_database(path, lambda database: PlanRows(database).all()))
    rows = [_facts(plan) for plan in found]
    if as_json:
        print_json(rows)
    else:
        print_table(list(rows[0]) if rows else ["id"], [_cells(row) for row in rows])


@plans.command("set")
@click.argument("plan_id", metavar="ID")
@bundled(
    "told",
    click.option("--name", help="Its name for people [default: the ID]."),
    click.option("--price", "price_cents", type=PRICE, help="Dollars a month, shown only [default: 0]."),
    click.option("--monthly-credits", "monthly_mc", type=MONTHLY, help="Credits of a month; a new plan must say."),
    click.option("--requests-per-minute", type=LIMIT, help="Per account [default: none]."),
    click.option("--tokens-per-minute", type=LIMIT, help="Per account [default: none]."),
    click.option("--parallel", type=LIMIT, help="Requests of an account at one time [default: none]."),
    click.option("--modes", help="Routing modes, with commas: auto,cost,quality,speed [default: auto]."),
    click.option("--force-model/--no-force-model", default=None, help="Obey X-Force-Model [default: no]."),
)
@config_option
@json_option
def set_plan(plan_id: str, *, told: dict[str, Any], path: Path | None, as_json: bool) -> None:
    """Define the plan with this ID, or change what is given of it; running gateways obey within two seconds.

    \b
      neuralrouting plans set team --price 49 --monthly-credits 100000 --requests-per-minute 120 --modes auto,cost
      neuralrouting plans set team --requests-per-minute none --force-model
    """
    from msgspec.structs import replace

    from neuralrouting.exchange import Plan
    from neuralrouting.storage.plans import PlanRows

    changes: dict[str, Any] = {n: value.value if isinstance(value, Given) else value for n, value in told.items()}
    if "modes" in changes:
        changes["modes"] = tuple(mode.strip() for mode in changes["modes"].split(","))

    async def put(database: "Database") -> "Plan":
        rows = PlanRows(database)
        plan = await rows.find(plan_id)
        if plan is None:
            if "monthly_mc" not in changes:
                raise click.UsageError(f"there is no plan {plan_id!r} yet: a new one needs --monthly-credits")
            plan = Plan(plan_id, plan_id, 0, None, None, None, None, ("auto",), force_model=False)
        plan = replace(plan, **changes)
        await rows.put(plan, unix_ms(), actor=cli_actor())
        return plan

    facts = _facts(ask_database(path, put))
    if as_json:
        print_json(facts)
    else:
        print_table(list(facts), [_cells(facts)])


@plans.command("remove")
@click.argument("plan_id", metavar="ID")
@config_option
@json_option
def remove_plan(plan_id: str, path: Path | None, *, as_json: bool) -> None:
    """Remove the plan with this ID, unless accounts have it.

    \b
      neuralrouting plans remove team
    """
    from neuralrouting.storage.plans import PlanRows

    if plan_id == load(path).config.billing.default_plan:
        raise click.ClickException(f"{plan_id!r} is billing.default_plan: new accounts would have none")
    if not ask_database(path, lambda database: PlanRows(database).remove(plan_id, actor=cli_actor())):
        raise click.ClickException(f"no plan {plan_id!r}; see `neuralrouting plans list`")
    if as_json:
        print_json({"id": plan_id, "removed": True})
    else:
        click.echo(f"removed the plan {plan_id}")


def _facts(plan: "Plan") -> dict[str, Any]:
    """Return a plan as it is printed: dollars and credits as decimal text, None is none."""
    return {
        "id": plan.id,
        "name": plan.name,
        "price_usd": decimal_text(plan.price_cents, 2),
        "monthly_credits": None if plan.monthly_mc is None else credits_text(plan.monthly_mc),
        "requests_per_minute": plan.requests_per_minute,
        "tokens_per_minute": plan.tokens_per_minute,
        "parallel": plan.parallel,
        "modes": list(plan.modes),
        "force_model": plan.force_model,
    }


def _cells(row: dict[str, Any]) -> list[str]:
    return [
        row["id"],
        row["name"],
        row["price_usd"],
        row["monthly_credits"] or "unlimited",
        *(limit_text(row[name]) for name in ("requests_per_minute", "tokens_per_minute", "parallel")),
        " ".join(row["modes"]),
        "yes" if row["force_model"] else "no",
    ]
