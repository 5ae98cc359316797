"""What the commands print: keys, models, findings, tasks and rates, as tables or as JSON."""

import json
import time
from typing import TYPE_CHECKING, Any

import click

from neuralrouting.cli.amounts import decimal_text

if TYPE_CHECKING:
    from neuralrouting.catalog import Catalog, Deployment
    from neuralrouting.engine import Classification, Verdict
    from neuralrouting.exchange import Task
    from neuralrouting.storage.keys import KeyOptions, KeyRow


def key_facts(row: "KeyRow") -> dict[str, Any]:
    """Return what may be shown of a key."""
    return {
        "id": row.id,
        "account": row.account_id,
        "name": row.name,
        "kind": "live" if row.live else "test",
        **option_facts(row.options),
        "last4": row.last4,
        "created": time_text(row.created_ms),
        "revoked": time_text(row.revoked_ms) if row.revoked_ms is not None else None,
    }


def option_facts(options: "KeyOptions") -> dict[str, Any]:
    """Return what can be changed of a key; None is none."""
    return {
        "shield": options.shield_mode or "default",
        "mode": options.routing_mode or "default",
        "role": options.role,
        "team": options.team,
        "requests_per_minute": options.requests_per_minute,
        "tokens_per_minute": options.tokens_per_minute,
        "parallel": options.parallel,
    }


def model_facts(d: "Deployment", catalog: "Catalog") -> dict[str, Any]:
    """Return one deployment as the catalog sees it; prices are dollars per million tokens, None is unpriced."""
    can = [name for name in d.capabilities.__struct_fields__ if getattr(d.capabilities, name)]
    reached = d.id not in catalog.unreachable
    return {
        "id": d.id,
        "model": d.model,
        "provider": d.provider,
        "tier": d.tier,
        "context_tokens": d.context_tokens,
        "input_usd_per_mtok": decimal_text(d.price.input_picousd, 6) if d.price else None,
        "output_usd_per_mtok": decimal_text(d.price.output_picousd, 6) if d.price else None,
        "price_version": d.price.version if d.price else None,
        "capabilities": can,
        "quality": d.quality,
        "simulated": d.simulated,
        "servable": reached,
        "why_not": catalog.unreachable.get(d.id),
    }


def model_cells(row: dict[str, Any]) -> list[str]:
    """Return the facts of a deployment as cells of the table."""
    reached = "simulated" if row["simulated"] else "yes"
    return [
        row["model"],
        row["provider"],
        row["tier"],
        f"{row['context_tokens']:,}",
        row["input_usd_per_mtok"] or "unpriced",
        row["output_usd_per_mtok"] or "unpriced",
        " ".join(row["capabilities"]),
        reached if row["servable"] else row["why_not"],
    ]


def verdict_facts(verdict: "Verdict", action: str, threshold: float, pack: str) -> dict[str, Any]:
    """Return what the shield found in one text, as `shield scan --json` prints it."""
    names = ("rule", "tier", "category", "weight", "via", "channel", "start", "end", "excerpt")
    return {
        "action": action,
        "risk": round(verdict.risk, 4),
        "threshold": threshold,
        "tier": verdict.tier,
        "category": verdict.category,
        "model": round(verdict.model, 4),
        "truncated": verdict.truncated,
        "pack": pack,
        "hits": [{name: getattr(hit, name) for name in names} for hit in verdict.hits],
    }


def hit_cells(hit: dict[str, Any]) -> list[str]:
    """Return one hit as cells of the table; characters that a terminal would obey or hide are written out."""
    place = f"{hit['start']}-{hit['end']}"
    return [hit["rule"], hit["tier"], f"{hit['weight']:.2f}", hit["via"], place, safe_text(hit["excerpt"])]


def task_facts(found: "Classification", task: "Task") -> dict[str, Any]:
    """Return what the classifier told of one text and what the gateway makes of it, as `classify --json` prints it."""
    probabilities = {name: round(probability, 4) for name, probability in found.probabilities}
    (_, first), (second, next_best), *_ = probabilities.items()
    return {
        "task": task.task,
        "probability": first,
        "abstained": task.abstained,
        "runner_up": {"task": second, "probability": next_best},
        "complexity": task.complexity,
        "high_risk": task.high_risk,
        "risk_domain": task.risk_domain,
        "risk_probability": round(found.risk_probability, 4),
        "contributions": [{"evidence": name, "weight": round(weight, 4)} for name, weight in found.contributions],
        "probabilities": probabilities,
    }


def rate_cells(name: str, row: dict[str, Any]) -> list[str]:
    """Return the rates of a scope or family as cells: percent, with the bounds of their Wilson interval."""
    return [name, row.get("scope", ""), f"{row['n']:,}", _rate(row, "block"), _rate(row, "flag")]


def pair_cells(name: str, row: dict[str, Any]) -> list[str]:
    """Return the rates of pairs with the same answer and of others as cells, empty where there are none."""
    kinds = ("hit_true", "wrong_false")
    return [name, f"{row['n']:,}", *("" if row[kind] is None else _rate(row, kind) for kind in kinds)]


def _rate(row: dict[str, Any], kind: str) -> str:
    low, high = row[f"{kind}_interval"]
    return f"{100 * row[kind]:.2f} ({100 * low:.2f}-{100 * high:.2f})"


def safe_text(value: object) -> str:
    """Write a cell, nothing for None; characters of a client's that a terminal would obey or hide are written out."""
    text = "" if value is None else str(value)
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def limit_text(limit: int | None) -> str:
    """Write a limit; None is none."""
    return "none" if limit is None else str(limit)


def time_text(unix_ms: int) -> str:
    """Write a Unix time in milliseconds as UTC."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(unix_ms // 1000))


def print_json(data: object) -> None:
    """Print for machines."""
    click.echo(json.dumps(data, indent=2))


def print_table(head: list[str], rows: list[list[str]]) -> None:
    """Print for people."""
    # 160 ms of import that only tables need.
    from rich.console import Console  # noqa: PLC0415
    from rich.table import Table  # noqa: PLC0415
    from rich.text import Text  # noqa: PLC0415

    table = Table(*head, box=None, pad_edge=False, header_style="bold")
    for row in rows:
        table.add_row(*(Text(cell) for cell in row))
    # A pipe has no width: nothing is cut there.
    console = Console()
    (console if console.is_terminal else Console(width=240)).print(table)
