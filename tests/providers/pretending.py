"""Asking the simulated provider, for its tests."""

import time
from typing import Any

import orjson

from neuralrouting.catalog import Capabilities, Deployment
from neuralrouting.engine import Engine
from neuralrouting.exchange import JsonObject
from neuralrouting.providers.base import Call
from neuralrouting.providers.simulated import SimulatedProvider

ENGINE = Engine()


def deployment(model: str = "gpt-4o") -> Deployment:
    return Deployment(
        id=f"simulated/{model}",
        model=model,
        provider="simulated",
        upstream_model=model,
        tier="premium",
        context_tokens=128_000,
        max_output_tokens=4096,
        capabilities=Capabilities(),
        price=None,
        simulated=True,
    )


def call(prompt: str = "Hello", *, model: str = "gpt-4o", **fields: object) -> Call:
    body = {"model": "auto", "messages": [{"role": "user", "content": prompt}], **fields}
    return Call(deployment(model), ENGINE.inspect(orjson.dumps(body), "tenant"), time.monotonic() + 0.2)


async def complete(prompt: str = "Hello", *, fail: str = "", **fields: Any) -> JsonObject:  # noqa: ANN401
    completion = await SimulatedProvider(fail=fail).complete(call(prompt, **fields))
    assert orjson.loads(completion.body) == completion.data
    return completion.data


async def stream(prompt: str = "Hello", *, fail: str = "", **fields: Any) -> list[JsonObject]:  # noqa: ANN401
    batches = SimulatedProvider(fail=fail).stream(call(prompt, stream=True, **fields))
    return [chunk async for batch in batches for chunk in batch]


def text_of(completion: JsonObject, index: int = 0) -> str:
    return completion["choices"][index]["message"]["content"]
