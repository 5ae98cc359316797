"""Rows that tell how several models answered one prompt, and the table that they make."""

import hashlib
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import msgspec
import numpy as np
from numpy.typing import NDArray

from neuralrouting.errors import ConfigError
from neuralrouting.evaluation.rows import read_rows

Array = NDArray[np.float64]
Prices = Callable[[str], tuple[float, float] | None]
"""Model -> dollars for a prompt token and for a completion token; None: not known."""
CHARACTERS_PER_TOKEN = 4
"""Where a row counts no tokens."""


class Answer(msgspec.Struct, frozen=True):
    """How good one model's answer was (0 to 1), what it cost in dollars, and its tokens, as far as they are known."""

    q: Annotated[float, msgspec.Meta(ge=0, le=1)]
    usd: Annotated[float, msgspec.Meta(ge=0)] | None = None
    in_tok: Annotated[int, msgspec.Meta(ge=0)] | None = None
    out_tok: Annotated[int, msgspec.Meta(ge=0)] | None = None


class RoutingRow(msgspec.Struct, frozen=True):
    """One prompt with the answers of at least two models; other members of the line are passed over."""

    prompt: str
    models: Annotated[dict[str, Answer], msgspec.Meta(min_length=1)]
    task: str | None = None


@dataclass(frozen=True, slots=True)
class Outcomes:
    """Prompts and, by model, quality (rows), cost in dollars (rows) and tokens of the reference (rows)."""

    prompts: tuple[str, ...]
    quality: dict[str, Array]
    usd: dict[str, Array]
    tokens: Array

    def __len__(self) -> int:
        """Return the number of prompts."""
        return len(self.prompts)


def read_outcomes(file: Path) -> list[RoutingRow]:
    """Read a file of outcomes. Raises ConfigError that names file and line."""
    return read_rows(file, RoutingRow)


def models_of(rows: Sequence[RoutingRow]) -> list[str]:
    """The models that at least half of the rows have, most frequent first."""
    counts = Counter(model for row in rows for model in row.models)
    return [model for model, count in counts.most_common() if 2 * count >= len(rows)]


def place(prompt: str, seed: int) -> float:
    """Where a prompt falls between 0 and 1: equal prompts fall together, whatever the order of the file."""
    digest = hashlib.sha256(f"{seed}\0{prompt}".encode()).digest()
    return int.from_bytes(digest[:8]) / 2**64


def table(
    rows: Sequence[RoutingRow], models: Sequence[str], reference: str, prices: Prices
) -> tuple[Outcomes, list[str]]:
    """Line up the rows that have all of `models`; the second value says in words what had to be left out or filled in.

    A model whose cost is missing in some row is priced by its tokens where it is listed; else all its costs are NaN.
    """
    notices: list[str] = []
    kept = [row for row in rows if all(model in row.models for model in models)]
    if len(kept) < len(rows):
        notices.append(f"{len(rows) - len(kept)} of {len(rows)} rows lack one of {', '.join(models)} and are left out")
    usd = {model: _costs(kept, model, prices, notices) for model in models}
    quality = {model: np.array([row.models[model].q for row in kept]) for model in models}
    tokens = np.array([_tokens(row, row.models[reference]) for row in kept])
    return Outcomes(tuple(row.prompt for row in kept), quality, usd, tokens), notices


def _costs(rows: Sequence[RoutingRow], model: str, prices: Prices, notices: list[str]) -> Array:
    known = [row.models[model].usd for row in rows]
    if all(usd is not None for usd in known):
        return np.array(known, np.float64)
    price = prices(model)
    counted = [(row.models[model].in_tok, row.models[model].out_tok) for row in rows]
    if price is None or any(tokens is None for pair in counted for tokens in pair):
        return np.full(len(rows), np.nan)
    notices.append(f"{model}: rows without usd are priced by their tokens and today's list price")
    costs = [
        usd if usd is not None else (taken or 0) * price[0] + (given or 0) * price[1]
        for usd, (taken, given) in zip(known, counted, strict=True)
    ]
    return np.array(costs, np.float64)


def _tokens(row: RoutingRow, answer: Answer) -> float:
    taken = answer.in_tok if answer.in_tok is not None else len(row.prompt) / CHARACTERS_PER_TOKEN
    return float(taken + (answer.out_tok or 0))


def listed_price(model: str) -> tuple[float, float] | None:
    """Today's list price of a model of the built-in catalog. Takes most of a second the first time."""
    from datetime import UTC, datetime  # noqa: PLC0415  only where a cost is missing

    from neuralrouting.catalog.prices import PriceList  # noqa: PLC0415
    from neuralrouting.catalog.seed import seed_rows  # noqa: PLC0415

    for row in seed_rows():
        if row.model == model:
            price = PriceList(datetime.now(UTC).date()).find(row.provider, row.upstream_model).price
            if price is not None:
                return price.input_picousd / 1e12, price.output_picousd / 1e12
    return None


def need(rows: Sequence[RoutingRow], file: Path, models: Sequence[str]) -> None:
    """Raise ConfigError unless each model is in some row; says which models there are."""
    known = models_of(rows) or sorted({model for row in rows for model in row.models})
    for model in models:
        if not any(model in row.models for row in rows):
            raise ConfigError(f"{file}: no row has the model {model!r}; it has {', '.join(known)}")
