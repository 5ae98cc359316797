"""What the commands print: rows of keys and models, as tables or as JSON."""

import json
import time
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from neuralrouting.catalog import Catalog, Deployment
    from neuralrouting.storage.keys import KeyRow


def key_facts(row: "KeyRow") -> dict[str, Any]:
    """Return what may be shown of a key."""
    return {
        "id": row.id,
        "account": row.account_id,
        "name": row.name,
        "kind": "live" if row.live else "test",
        "last4": row.last4,
        "created": _day(row.created_ms),
        "revoked": _day(row.revoked_ms) if row.revoked_ms is not None else None,
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
        "input_usd_per_mtok": _usd(d.price.input_picousd) if d.price else None,
        "output_usd_per_mtok": _usd(d.price.output_picousd) if d.price else None,
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


def _usd(picousd: int) -> str:
    whole, rest = divmod(picousd, 1_000_000)
    return f"{whole}.{rest:06d}".rstrip("0").rstrip(".")


def _day(unix_ms: int) -> str:
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
