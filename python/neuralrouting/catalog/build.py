"""Builds the catalog once at start: rows, prices of the day, tiers, and what can be reached."""

from collections.abc import Collection, Iterable, Mapping
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Final

import msgspec

from neuralrouting.catalog.catalog import LOCAL, SIMULATED, VIRTUAL_MODELS, Catalog, names_of
from neuralrouting.catalog.credits import credits_per_1k
from neuralrouting.catalog.models import Capabilities, Deployment, Price, Tier
from neuralrouting.catalog.prices import PriceList, declared_price
from neuralrouting.catalog.reference import choose_reference
from neuralrouting.catalog.seed import Row, seed_rows, with_overlays
from neuralrouting.catalog.tiers import tier_of
from neuralrouting.config import Config, ModelConfig, ProviderConfig, provider_rows
from neuralrouting.errors import ConfigError

BUNDLED_LOCAL_MODEL: Final = "smollm2-135m-instruct"
_OWN_HARDWARE: Final = "own hardware: no provider bill"
_UNKNOWN_CONTEXT_TOKENS: Final = 8_192
"""Context of a model that neither the operator nor the price list describes."""


def build_catalog(
    config: Config, providers: Collection[str], local_model: str | None, today: date | None = None
) -> Catalog:
    """Return the catalog of a gateway that can call `providers` and, where it runs, this local model.

    Prices are those valid on `today` (UTC). Raises ConfigError for a model under a reserved name, and for a
    baseline that does not exist or has no price.
    """
    day = today or datetime.now(UTC).date()
    local_id = f"{LOCAL}/{local_model or _expected_local_name(config)}"
    rows = with_overlays((*seed_rows(), _local_row(config, local_id)), _allowed(config))
    build = _Build(provider_rows(config), PriceList(day), config.billing.unpriced_credits_per_1k)
    known = tuple(build.deployment(row) for row in rows)
    retired = {row.id for row in rows if row.retired is not None and row.retired <= day}
    remote = set(providers) - {LOCAL, SIMULATED}
    reached = {d.id for d in known if d.provider in remote} | ({local_id} if local_model is not None else set())
    real = [d for d in known if d.id in reached - retired]
    stand_ins = config.simulated.enabled == "on" or all(d.provider == LOCAL for d in real)
    routed, others = _twins(config, known, {d.tier for d in real} if stand_ins else None, retired)
    servable = (*real, *routed)
    reference = choose_reference(config.routing, known, servable)
    build.say_reference(config.routing.reference_model, reference)
    return Catalog(
        known=known,
        servable=servable,
        by_name_only=(*(d for d in known if d.id in reached & retired), *others),
        baseline=_baseline(config.routing.baseline_model, known),
        stand_ins=stand_ins,
        unreachable={row.id: build.why(row, day) for row in rows if row.id not in reached},
        notices=tuple(build.notices),
        reference=reference,
    )


class _Build:
    """Turns rows into deployments; collects what had to be assumed."""

    def __init__(self, providers: Mapping[str, ProviderConfig], prices: PriceList, unpriced_rate: int) -> None:
        self._providers = providers
        self._prices = prices
        self._unpriced_rate = unpriced_rate
        self.notices: list[str] = []

    def deployment(self, row: Row) -> Deployment:
        provider = self._providers.get(row.provider, ProviderConfig())
        listed = self._prices.find(provider.prices or row.provider, row.upstream_model)
        price = _declared(row) or listed.price
        context = row.context_tokens or listed.context_tokens or _UNKNOWN_CONTEXT_TOKENS
        if price is None:
            self.notices.append(f"{row.id}: unpriced; its cost and saving are shown as unknown")
        if row.tools is None:
            self.notices.append(f"{row.id}: capabilities not told; taken as without tools, vision and JSON")
        can = Capabilities(
            tools=bool(row.tools),
            vision=bool(row.vision),
            json_mode=bool(row.json_mode),
            json_schema=bool(row.json_schema),
            logprobs=bool(row.logprobs),
        )
        return Deployment(
            id=row.id,
            model=row.model,
            provider=row.provider,
            upstream_model=row.upstream_model,
            tier=row.tier or tier_of(price, context, fast_hardware=provider.fast_hardware),
            context_tokens=context,
            max_output_tokens=row.max_output_tokens or context,
            capabilities=can,
            price=price,
            quality=row.quality,
            quality_source=row.quality_source,
            aliases=row.aliases,
            rename=tuple(row.rename.items()),
            credits_per_1k=self._rate(row, price),
        )

    def say_reference(self, wanted: str | None, chosen: Deployment | None) -> None:
        """Note where another reference is taken than the configured one."""
        if wanted is not None and (chosen is None or wanted not in names_of(chosen)):
            instead = f"{chosen.id} takes its place" if chosen is not None else "nothing is compared"
            self.notices.append(f"routing.reference_model: {wanted} cannot be reached; {instead}")

    def _rate(self, row: Row, price: Price | None) -> int:
        if row.credits_per_1k is not None:
            return row.credits_per_1k
        return self._unpriced_rate if price is None else credits_per_1k(price)

    def why(self, row: Row, day: date) -> str:
        """Say what a deployment needs to be reached."""
        if row.retired is not None and row.retired <= day:
            return f"retired by {row.provider} on {row.retired.isoformat()}"
        provider = self._providers.get(row.provider)
        if provider is None:
            return "the local process does not serve it; see local.enabled, and pip install 'neuralrouting[local]'"
        if provider.api_key_env is not None:
            return f"set {provider.api_key_env}"
        return f"add `{row.provider}:` under `providers:` in the configuration file"


def _allowed(config: Config) -> tuple[ModelConfig, ...]:
    for index, model in enumerate(config.models):
        if model.model in VIRTUAL_MODELS or SIMULATED in (model.model.split("/")[0], model.provider):
            raise ConfigError(f"models[{index}].model: {model.model!r} is a name of our own; choose another")
        if (model.input_usd_per_mtok is None) != (model.output_usd_per_mtok is None):
            raise ConfigError(f"models[{index}]: give input_usd_per_mtok and output_usd_per_mtok together")
    return config.models


def _declared(row: Row) -> Price | None:
    if row.input_usd_per_mtok is None or row.output_usd_per_mtok is None:
        free = Price(0, 0, 0, 0, version=_OWN_HARDWARE, source=_OWN_HARDWARE)
        return free if row.provider == LOCAL else None
    version = f"declared {row.input_usd_per_mtok}/{row.output_usd_per_mtok}"
    return declared_price(row.input_usd_per_mtok, row.output_usd_per_mtok, version, "the configuration file")


def _expected_local_name(config: Config) -> str:
    """Name the local model while it does not run, for the list of what is known."""
    return Path(config.local.model_path).stem.lower() if config.local.model_path else BUNDLED_LOCAL_MODEL


def _local_row(config: Config, local_id: str) -> Row:
    name = local_id.partition("/")[2]
    context = config.local.context_tokens
    # llama.cpp ignores tools without a word, but keeps to JSON and schemas by grammar.
    return Row(
        name, LOCAL, name, context, context, tools=False, vision=False, json_mode=True, json_schema=True, logprobs=True
    )


def _twins(
    config: Config, known: Iterable[Deployment], served: Collection[Tier] | None, retired: Collection[str]
) -> tuple[list[Deployment], list[Deployment]]:
    """Return the simulated twins that routing may use, and those reached by name only.

    Routing uses them in tiers that are not `served` by a real deployment; nowhere when `served` is None. That is
    so in `auto` once a provider can be called: who has set a key gets no invented answer unless asked by name.
    """
    if config.simulated.enabled == "off":
        return [], []
    remote = [d for d in known if d.provider != LOCAL]
    models = [d.model for d in remote]
    routed: list[Deployment] = []
    by_name: list[Deployment] = []
    for d in remote:
        use = served is not None and d.tier not in served and d.id not in retired
        (routed if use else by_name).append(_twin(d, alone=models.count(d.model) == 1))
    return routed, by_name


def _twin(d: Deployment, *, alone: bool) -> Deployment:
    name = f"{SIMULATED}/{d.model}"
    return msgspec.structs.replace(
        d,
        id=name if alone else f"{SIMULATED}/{d.id}",
        provider=SIMULATED,
        simulated=True,
        aliases=(name, *d.aliases),
    )


def _baseline(name: str, known: Iterable[Deployment]) -> Deployment:
    matches = [d for d in known if name in names_of(d)]
    if not matches:
        raise ConfigError(f"routing.baseline_model: no model {name!r} in the catalog; see `neuralrouting models`")
    priced = next((d for d in matches if d.price is not None), None)
    if priced is None:
        raise ConfigError(
            f"routing.baseline_model: {name!r} has no price to compare with; add it under `models:` with "
            "input_usd_per_mtok and output_usd_per_mtok"
        )
    return priced
