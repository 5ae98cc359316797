"""Reads the rows that ship with the gateway (catalog.toml) and lays the operator's own rows over them."""

from datetime import date
from importlib.resources import files

import msgspec

from neuralrouting.catalog.models import Tier
from neuralrouting.config import ModelConfig


class Row(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One deployment before prices are looked up; None: not told. `retired`: its provider stops that day."""

    model: str
    provider: str
    upstream_model: str
    context_tokens: int | None = None
    max_output_tokens: int | None = None
    tools: bool | None = None
    vision: bool | None = None
    json_mode: bool | None = None
    json_schema: bool | None = None
    logprobs: bool | None = None
    tier: Tier | None = None
    quality: float | None = None
    quality_source: str | None = None
    retired: date | None = None
    aliases: tuple[str, ...] = ()
    input_usd_per_mtok: str | None = None
    output_usd_per_mtok: str | None = None
    credits_per_1k: int | None = None
    rename: dict[str, str] = {}

    @property
    def id(self) -> str:
        """The deployment's id."""
        return f"{self.provider}/{self.model}"


class _Seed(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    model: tuple[Row, ...]


_INHERITED = (
    "context_tokens",
    "max_output_tokens",
    "tools",
    "vision",
    "json_mode",
    "json_schema",
    "logprobs",
)
"""What an operator's new row takes over from a shipped row of the same upstream model."""


def seed_rows() -> tuple[Row, ...]:
    """Return the rows of catalog.toml."""
    text = files("neuralrouting.catalog").joinpath("catalog.toml").read_bytes()
    return msgspec.toml.decode(text, type=_Seed).model


def with_overlays(seed: tuple[Row, ...], overlays: tuple[ModelConfig, ...]) -> tuple[Row, ...]:
    """Return the rows with the operator's laid over (same provider and model) or added.

    A row that the operator names is in service, whatever its provider announced.
    """
    rows = {row.id: row for row in seed}
    shipped = {row.upstream_model: row for row in seed}
    for overlay in overlays:
        told = {f: v for f in overlay.__struct_fields__ if (v := getattr(overlay, f)) is not None}
        row = rows.get(f"{overlay.provider}/{overlay.model}")
        if row is None:
            row = _new(overlay, shipped.get(overlay.upstream_model or overlay.model))
        aliases = tuple(dict.fromkeys((*row.aliases, *overlay.aliases)))
        rows[row.id] = msgspec.structs.replace(row, **{**told, "aliases": aliases, "retired": None})
    return tuple(rows.values())


def _new(overlay: ModelConfig, alike: Row | None) -> Row:
    taken = {field: getattr(alike, field) for field in _INHERITED} if alike is not None else {}
    return Row(overlay.model, overlay.provider, overlay.upstream_model or overlay.model, **taken)
