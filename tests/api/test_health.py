"""`/healthz` and `/readyz`: alive, and able to serve; no key is needed and no detail given away."""

from collections.abc import Awaitable, Callable

import httpx
import orjson
import pytest
from starlette.requests import Request

from live_gateway import LiveGateway
from neuralrouting.api.health import MAX_LAG_S, Health
from neuralrouting.catalog import Catalog, build_catalog
from neuralrouting.config import Config, SimulatedConfig
from neuralrouting.errors import Unavailable
from neuralrouting.storage.database import Database
from neuralrouting.storage.writer import Writer

REQUEST = Request({"type": "http", "method": "GET", "path": "/readyz", "headers": []})


def test_it_is_alive_and_ready_for_who_has_no_key(gateway: LiveGateway):
    alive = httpx.get(f"{gateway.url}/healthz", trust_env=False)
    ready = httpx.get(f"{gateway.url}/readyz", trust_env=False)
    assert (alive.status_code, alive.json()) == (200, {"status": "ok"})
    checks = {"database": True, "writer": True, "models": True}
    told = ready.json()
    assert told.pop("shield").keys() == {"mode", "pack"}
    assert told.pop("confidence").keys() == {"accounts", "built", "state"}
    assert (ready.status_code, told) == (200, {"status": "ready", "checks": checks})
    assert ready.headers["x-request-id"] != alive.headers["x-request-id"]


def a_catalog() -> Catalog:
    return build_catalog(Config(), ["simulated"], None)


def without_models() -> Catalog:
    return build_catalog(Config(simulated=SimulatedConfig(enabled="off")), [], None)


async def refuses() -> object:
    raise Unavailable("the database is away")


class Stuck(Writer):
    """A writer whose oldest row has been waiting for longer than is well."""

    @property
    def lag_s(self) -> float:
        return MAX_LAG_S + 1


def a_shield() -> dict[str, str]:
    return {"mode": "block", "pack": "a hash"}


def a_confidence() -> dict[str, object]:
    return {"accounts": 2, "built": "2026-11-28T12:00:00Z", "state": "learned"}


def health(writer: Writer, ping: Callable[[], Awaitable[object]]) -> Health:
    return Health(a_catalog(), [writer], ping, a_shield, a_confidence)


async def readiness(asked: Health) -> tuple[int, dict[str, bool]]:
    response = await asked.ready(REQUEST)
    body = orjson.loads(response.body)
    assert body["shield"] == a_shield()
    assert body["confidence"] == a_confidence()
    assert body["status"] == ("ready" if response.status_code == 200 else "not ready")
    return response.status_code, body["checks"]


@pytest.mark.anyio
async def test_each_part_that_is_not_ready_is_named(database: Database):
    async def answers() -> object:
        return await database.fetch("SELECT 1")

    all_well = {"database": True, "writer": True, "models": True}
    assert await readiness(health(Writer(database), answers)) == (200, all_well)
    assert await readiness(health(Writer(database), refuses)) == (
        503,
        all_well | {"database": False},
    )
    assert await readiness(health(Stuck(database), answers)) == (
        503,
        all_well | {"writer": False},
    )


@pytest.mark.anyio
async def test_without_a_model_it_is_alive_and_not_ready(database: Database):
    bare = Health(without_models(), [Writer(database)], lambda: database.fetch("SELECT 1"), a_shield, a_confidence)
    status, checks = await readiness(bare)
    assert (status, checks["models"]) == (503, False)
    assert (await bare.alive(REQUEST)).status_code == 200


@pytest.mark.anyio
async def test_many_probes_ask_the_database_once_a_second(database: Database):
    asked: list[int] = []

    async def answers() -> object:
        asked.append(1)
        return await database.fetch("SELECT 1")

    probed = health(Writer(database), answers)
    for _ in range(50):
        await probed.ready(REQUEST)
    assert len(asked) == 1
