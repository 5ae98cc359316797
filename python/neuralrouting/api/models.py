"""`GET /v1/models`: what can be asked for here, with tier, context, capabilities and price of each."""

from starlette.requests import Request
from starlette.responses import Response

from neuralrouting.api import wire
from neuralrouting.api.answers import json_response
from neuralrouting.catalog import VIRTUAL_MODELS, Catalog, Deployment
from neuralrouting.errors import UnknownModel
from neuralrouting.exchange import Caller, JsonObject

CREATED_S = 1_735_689_600
"""`created` of every model: the catalog has no such date, clients need an integer (2025-01-01)."""


class Models:
    """Lists the catalog in OpenAI's shape; our fields stand beside OpenAI's."""

    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog

    async def all(self, _request: Request, caller: Caller) -> Response:
        """List every name that can be sent as `model`."""
        rows = [_virtual(name) for name in VIRTUAL_MODELS]
        rows += [model_fields(d) for d in self._catalog.reachable(live=caller.live)]
        return json_response({"object": "list", "data": rows})

    async def one(self, request: Request, caller: Caller) -> Response:
        """Tell about one name; raises UnknownModel."""
        name: str = request.path_params["name"]
        if name in VIRTUAL_MODELS:
            return json_response(_virtual(name))
        found = self._catalog.named(name, live=caller.live)
        if not found:
            raise UnknownModel(self._catalog.missing(name), param="model")
        return json_response(model_fields(found[0]) | {"id": name})


def _virtual(name: str) -> JsonObject:
    return {
        "id": name,
        "object": "model",
        "created": CREATED_S,
        "owned_by": "neuralrouting",
        "description": "the gateway chooses the model",
    }


def model_fields(deployment: Deployment) -> JsonObject:
    """Return what is told of one deployment."""
    can, price = deployment.capabilities, deployment.price
    return {
        "id": deployment.id,
        "object": "model",
        "created": CREATED_S,
        "owned_by": deployment.provider,
        "model": deployment.model,
        "tier": deployment.tier,
        "context_tokens": deployment.context_tokens,
        "max_output_tokens": deployment.max_output_tokens,
        "capabilities": {name: getattr(can, name) for name in can.__struct_fields__},
        "simulated": deployment.simulated,
        "price": None
        if price is None
        else {
            "input_usd_per_mtok": wire.per_mtok(price.input_picousd),
            "output_usd_per_mtok": wire.per_mtok(price.output_picousd),
            "version": price.version,
            "source": price.source,
        },
    }
