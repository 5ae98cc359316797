"""Money: list prices as integers per token, and the cost of one answer."""

from collections.abc import Mapping
from datetime import date
from decimal import ROUND_CEILING, Decimal
from importlib.metadata import version
from typing import Any, Final, cast

import msgspec

from neuralrouting.catalog.models import Price

PICOUSD_PER_USD_PER_MTOK: Final = 1_000_000
"""One dollar per million tokens is a million pico-dollars per token."""
_HALF_NANO, _NANO = 500, 1_000
_FIELDS: Final = ("input_mtok", "cache_read_mtok", "cache_write_mtok", "output_mtok")


class ListPrice(msgspec.Struct, frozen=True):
    """What the price list knows of one model: price or None, and its context window in tokens or None."""

    price: Price | None = None
    context_tokens: int | None = None


def cost_nanousd(
    price: Price,
    prompt_tokens: int,
    completion_tokens: int,
    cached_tokens: int = 0,
    cache_write_tokens: int = 0,
) -> int:
    """Return the cost of one answer in nano-dollars; `prompt_tokens` includes cached and newly cached ones.

    The rounding rule, here and nowhere else: the request is summed exactly in pico-dollars and rounded once,
    half up, to nano-dollars. Counts below zero count as zero, and no part of a prompt is larger than the prompt:
    a provider's nonsense cannot make a cost negative. From a step on, all tokens pay the step's price.
    """
    prompt = max(0, prompt_tokens)
    # Each request prices every model: no calls that do nothing.
    cached = min(max(0, cached_tokens), prompt) if cached_tokens else 0
    written = min(max(0, cache_write_tokens), prompt - cached) if cache_write_tokens else 0
    paid_in, paid_cached, paid_write = price.input_picousd, price.cached_input_picousd, price.cache_write_picousd
    paid_out = price.output_picousd
    for start, *step in price.steps:
        if prompt >= start:
            paid_in, paid_cached, paid_write, paid_out = step
    total_picousd = (prompt - cached - written) * paid_in + cached * paid_cached + written * paid_write
    return (total_picousd + max(0, completion_tokens) * paid_out + _HALF_NANO) // _NANO


def nanousd_of(usd: str) -> int:
    """Return a decimal text of dollars in nano-dollars, rounded down."""
    whole, _, rest = usd.partition(".")
    return int(whole or "0") * 1_000_000_000 + int(rest[:9].ljust(9, "0"))


def blended_picousd(price: Price) -> int:
    """Return the list price per token of three prompt tokens to one completion token."""
    return (3 * price.input_picousd + price.output_picousd) // 4


def declared_price(input_usd_per_mtok: str, output_usd_per_mtok: str, version: str, source: str) -> Price:
    """Return a price the operator declares; cached and newly cached input cost what input costs."""
    paid_in, paid_out = _picousd(Decimal(input_usd_per_mtok)), _picousd(Decimal(output_usd_per_mtok))
    return Price(paid_in, paid_out, paid_in, paid_in, version, source)


class PriceList:
    """The dated prices of the `genai-prices` package as they stand on one day; no network is used.

    A price that depends on the hour is taken at its standard rate. Prices of audio, images and searches are
    not read.
    """

    def __init__(self, day: date) -> None:
        # Takes most of a second and 90 MB (pydantic, the whole list): only who builds a catalog pays.
        from genai_prices import data_snapshot  # noqa: PLC0415

        self.version = f"genai-prices {version('genai-prices')} ({day.isoformat()})"
        self._day = day
        self._providers: Mapping[str, Any] = {p.id: p for p in data_snapshot.get_snapshot().providers}

    def find(self, provider: str, model: str) -> ListPrice:
        """Return price and context window of a model; empty where the list does not know it."""
        row = self._providers.get(provider)
        if row is None:
            return ListPrice()
        info = row.find_model(model, all_providers=list(self._providers.values()))
        if info is None:
            return ListPrice()
        source = (row.pricing_urls or [row.name])[0]
        return ListPrice(self._price(self._rates_of_the_day(info.prices), source), info.context_window)

    def _rates_of_the_day(self, prices: Any) -> Any:  # noqa: ANN401  the package's own types
        if not isinstance(prices, list):
            return prices
        dated = cast("list[Any]", prices)
        standing = [p for p in dated if p.constraint is None or self._has_begun(p.constraint)]
        return (standing or dated)[-1].prices if dated else None

    def _has_begun(self, constraint: Any) -> bool:  # noqa: ANN401  the package's own types
        begins = getattr(constraint, "start_date", None)
        return begins is not None and begins <= self._day

    def _price(self, rates: Any, source: str) -> Price | None:  # noqa: ANN401  the package's own types
        paid_in, cached, written, paid_out = (getattr(rates, name, None) for name in _FIELDS)
        if paid_in is None or paid_out is None:
            return None
        columns = [
            paid_in,
            paid_in if cached is None else cached,
            paid_in if written is None else written,
            paid_out,
        ]
        starts = sorted({tier.start for column in columns for tier in getattr(column, "tiers", ())})
        base = _rates_at(columns, 0)
        # The list's step begins above `start`, ours at its first prompt size.
        steps = tuple((start + 1, *_rates_at(columns, start + 1)) for start in starts)
        return Price(base[0], base[3], base[1], base[2], self.version, source, steps)


def _rates_at(columns: list[Any], prompt_tokens: int) -> tuple[int, int, int, int]:
    paid_in, cached, written, paid_out = (_picousd(_at(column, prompt_tokens)) for column in columns)
    return paid_in, cached, written, paid_out


def _at(column: Any, prompt_tokens: int) -> Decimal:  # noqa: ANN401  the package's own types
    """Return dollars per million tokens at a prompt size; the highest step whose start lies below it."""
    if isinstance(column, Decimal):
        return column
    passed = [tier.price for tier in column.tiers if prompt_tokens > tier.start]
    return passed[-1] if passed else column.base


def _picousd(usd_per_mtok: Decimal) -> int:
    """Convert exactly; what is finer than a pico-dollar is rounded up: nothing priced becomes free."""
    return int((usd_per_mtok * PICOUSD_PER_USD_PER_MTOK).to_integral_value(ROUND_CEILING))
