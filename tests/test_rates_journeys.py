"""Two whole gateways on one PostgreSQL: one plan for both, whichever of them a client asks."""

import asyncio
import time
from pathlib import Path

import httpx

from live_gateway import LiveGateway, running_gateway
from neuralrouting.storage.accounts import AccountRows
from neuralrouting.storage.trail import GATEWAY

SIMULATED = 'local: {enabled: "off"}\nsimulated: {latency_ms: 1, token_ms: 0}'
ASK = {"model": "auto", "messages": [{"role": "user", "content": "hello"}]}
LEARNED_S = 2.0
"""A plan reaches running gateways within this."""


async def starter(gateway: LiveGateway) -> None:
    async with gateway.opened() as database:
        await AccountRows(database).set_plan("default", "starter", int(time.time() * 1000), actor=GATEWAY)


async def flood(gateway: LiveGateway, requests: int) -> list[httpx.Response]:
    headers = {"Authorization": f"Bearer {gateway.test_key}"}
    async with httpx.AsyncClient(base_url=gateway.url, headers=headers, timeout=30, trust_env=False) as client:
        return await asyncio.gather(*(client.post("/v1/chat/completions", json=ASK) for _ in range(requests)))


async def floods(*gateways: LiveGateway) -> list[httpx.Response]:
    answers = await asyncio.gather(*(flood(gateway, 40) for gateway in gateways))
    return [answer for some in answers for answer in some]


def test_two_gateways_let_in_one_plan_together(tmp_path: Path, postgres_url: str):
    with running_gateway(tmp_path / "a", config=SIMULATED, database_url=postgres_url, SERVER_WORKERS="2") as first:
        asyncio.run(starter(first))
        time.sleep(LEARNED_S)
        early = asyncio.run(flood(first, 10))
        assert {answer.status_code for answer in early} == {200}
        with running_gateway(tmp_path / "b", config=SIMULATED, database_url=postgres_url) as second:
            answers = asyncio.run(floods(first, second))
            time.sleep(1.2)  # what a worker that was held up did not use in time is there again
            answers += asyncio.run(floods(first, second))
    admitted = [answer for answer in answers if answer.status_code == 200]
    refused = [answer for answer in answers if answer.status_code == 429]
    assert len(admitted) + len(refused) == 160
    assert 50 - 3 <= len(admitted) <= 50, "60 less the early ten, and at most one lease of each worker"
    assert all(50 <= float(answer.headers["retry-after"]) <= 61 for answer in refused)
    assert {answer.headers["x-ratelimit-limit-requests"] for answer in answers} == {"60"}
    left = [int(answer.headers["x-ratelimit-remaining-requests"]) for answer in admitted]
    assert len(set(left)) > 1, "every answer tells what is left, and that goes down"
    assert 0 <= min(left) <= max(left) < 60
