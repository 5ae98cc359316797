"""Whole journeys through real gateways: many clients, two workers, restarts, and what is left on the disk."""

import asyncio
import os
import signal
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from cache_told import cache_told
from live_gateway import LiveGateway, running_gateway
from many_clients import Answered, Client, ask_all, client_of_each_worker
from neuralrouting.storage.keys import KeyRows
from neuralrouting.storage.trail import GATEWAY
from processes import below_that_run, resident_mib, tree

SIMULATED = 'local: {enabled: "off"}'
CLIENTS, EACH = 100, 20
GROWTH_MIB = 12.0
"""What two further rounds may add: 4,000 answers in the cache take about 5 MiB, and allocators round up."""
REVOKED_S = 2.0
HEALED_S = 20.0
WARM_S = 0.5
"""The cache is filled behind the first requests; a few hundred answers take milliseconds."""


def statuses(answers: list[Answered]) -> Counter[int]:
    return Counter(answer.status for answer in answers)


def ask(prompt: str) -> dict[str, object]:
    return {"model": "auto", "messages": [{"role": "user", "content": prompt}]}


async def revoke(gateway: LiveGateway, key: str) -> None:
    async with gateway.opened() as database:
        await KeyRows(database).revoke(key[8:20], int(time.time() * 1000), actor=GATEWAY)


# --- many clients ---------------------------------------------------------------------------------------------------


def test_a_hundred_clients_are_all_served_each_leaves_a_row_and_no_memory_is_kept(tmp_path: Path):
    with running_gateway(tmp_path, config=SIMULATED) as gateway:
        for warm_up in ("warm up", "warm up again", "warm up for good"):
            asyncio.run(ask_all(gateway, CLIENTS, EACH, warm_up))
        before_mib = resident_mib(gateway.pid)
        for label in ("first", "second"):
            answers = asyncio.run(ask_all(gateway, CLIENTS, EACH, label))
            assert statuses(answers) == {200: CLIENTS * EACH}
            assert all(a.body.endswith((b"}", b"data: [DONE]\n\n")) for a in answers)
            rows = gateway.rows(feature=label)
            assert {row.request_id for row in rows} == {a.headers["x-request-id"] for a in answers}
            assert len(rows) == CLIENTS * EACH
            assert {(row.status, row.cache, row.simulated) for row in rows} == {(200, "miss", True)}
        assert resident_mib(gateway.pid) - before_mib < GROWTH_MIB
        assert "Traceback" not in gateway.log.read_text()


def test_more_at_once_than_the_limit_wait_or_are_told_to_come_again(tmp_path: Path):
    with running_gateway(tmp_path, config=f"{SIMULATED}\nserver: {{max_in_flight: 8}}") as gateway:

        async def crowd() -> list[Answered]:
            async def one(number: int) -> Answered:
                async with Client(gateway) as client:
                    return await client.ask(f"slow {number} [[sim latency_ms=300]]")

            return await asyncio.gather(*map(one, range(40)))

        answers = asyncio.run(crowd())
        assert set(statuses(answers)) <= {200, 503}
        assert statuses(answers)[200] >= 8
        assert all(answer.headers["retry-after"] == "1" for answer in answers if answer.status == 503)
        assert statuses(asyncio.run(ask_all(gateway, 4, 5, "afterwards"))) == {200: 20}


# --- two workers ----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveGateway]:
    """A gateway of two workers on one database."""
    with running_gateway(tmp_path_factory.mktemp("pair"), config=SIMULATED, SERVER_WORKERS="2") as gateway:
        yield gateway


def test_a_revoked_key_is_refused_by_every_worker_within_two_seconds(pair: LiveGateway):
    async def refused_after(client: Client, revoked_s: float) -> float:
        while (await client.ask("still there?")).status == 200:  # noqa: ASYNC110  nobody here can tell when
            await asyncio.sleep(0.02)
        return time.monotonic() - revoked_s

    async def journey() -> None:
        async with client_of_each_worker(pair, pair.test_key) as clients, Client(pair) as other:
            await revoke(pair, pair.test_key)
            revoked_s = time.monotonic()
            assert max(await asyncio.gather(*(refused_after(c, revoked_s) for c in clients))) < REVOKED_S
            for client in clients:
                assert [(await client.ask("still there?")).status for _ in range(5)] == [401] * 5
            assert (await other.ask("and the others?")).status == 200

    asyncio.run(journey())


def test_an_answer_that_one_worker_stored_is_a_hit_at_the_other(pair: LiveGateway):
    async def journey() -> None:
        async with client_of_each_worker(pair, pair.api_key) as (one, other):
            assert cache_told(await one.ask("known to one")) == "miss"
            await asyncio.sleep(2.0)
            assert cache_told(await other.ask("known to one")) == "exact"

    asyncio.run(journey())


def workers(gateway: LiveGateway) -> list[int]:
    """The processes that serve; Python's resource tracker is small beside them."""
    return [pid for pid in tree(gateway.pid)[1:] if resident_mib(pid) > 20]


def test_a_worker_that_is_killed_is_replaced_and_the_other_serves_on(pair: LiveGateway):
    async def journey() -> None:
        async with client_of_each_worker(pair, pair.api_key) as clients:
            victim = workers(pair)[-1]
            os.kill(victim, signal.SIGKILL)
            told = await asyncio.gather(*(c.ask("are you well?") for c in clients), return_exceptions=True)
            assert sum(isinstance(answer, Answered) and answer.status == 200 for answer in told) == 1
            deadline_s = time.monotonic() + HEALED_S
            while victim in workers(pair) or len(workers(pair)) < 2:
                assert time.monotonic() < deadline_s, "no new worker came"
                await asyncio.sleep(0.1)
        assert statuses(await ask_all(pair, 20, 5, "after the kill")) == {200: 100}

    asyncio.run(journey())


# --- restarts -------------------------------------------------------------------------------------------------------


def test_answers_outlive_a_restart_in_either_shape(tmp_path: Path):
    with running_gateway(tmp_path, config=SIMULATED) as gateway, gateway.client() as client:
        first = client.post("/v1/chat/completions", json=ask("remember me")).json()
    with running_gateway(tmp_path, config=SIMULATED) as gateway, gateway.client() as client:
        time.sleep(WARM_S)
        again = client.post("/v1/chat/completions", json=ask("remember me"))
        streamed = client.post("/v1/chat/completions", json=ask("remember me") | {"stream": True})
    assert [cache_told(again), cache_told(streamed)] == ["exact", "exact"]
    assert again.json()["choices"] == first["choices"]
    assert again.json()["usage"] == first["usage"]
    assert again.json()["id"] != first["id"]


def test_on_sigterm_what_has_begun_is_finished_and_every_row_is_written(tmp_path: Path):
    async def slow(gateway: LiveGateway, number: int) -> Answered:
        async with Client(gateway) as client:
            prompt = f"slow {number} [[sim latency_ms=500 token_ms=5]]"
            return await client.ask(prompt, stream=bool(number % 2))

    async def journey(gateway: LiveGateway) -> list[Answered]:
        quick = await ask_all(gateway, 50, 10, "quick")
        begun = [asyncio.create_task(slow(gateway, number)) for number in range(10)]
        await asyncio.sleep(0.2)
        os.kill(gateway.pid, signal.SIGTERM)
        return [*quick, *await asyncio.gather(*begun)]

    with running_gateway(tmp_path, config=SIMULATED) as gateway:
        answers = asyncio.run(journey(gateway))
    assert statuses(answers) == {200: 510}
    assert {row.request_id for row in gateway.rows()} == {answer.headers["x-request-id"] for answer in answers}


# --- what is left on the disk ---------------------------------------------------------------------------------------

SECRET = "xylophone-marmalade-quasar"


def spoken_secret(gateway: LiveGateway) -> None:
    with gateway.client() as client:
        for fields in ({}, {"stream": True}, {"tools": "wrong"}, {"model": "no-such-model"}, {"max_tokens": -1}):
            client.post("/v1/chat/completions", json=ask(f"my secret is {SECRET}") | fields)
        client.post("/v1/dispatch", json={"messages": [{"role": "user", "content": f"[[sim fail=503]] {SECRET}"}]})
        client.post("/v1/chat/completions", content=f'{{"messages": "{SECRET}'.encode())


def files_with(directory: Path, text: str) -> set[str]:
    """Names of the files that hold this text anywhere, the write-ahead log included."""
    files = [path for path in directory.rglob("*") if path.is_file()]
    assert files
    return {path.name for path in files if text.encode() in path.read_bytes()}


@pytest.mark.parametrize("keep", ["0", "1"])
def test_prompts_are_on_the_disk_only_where_the_operator_wants_them(tmp_path: Path, keep: str):
    with running_gateway(tmp_path, config=SIMULATED, STORE_BODIES=keep, LOG_LEVEL="debug") as gateway:
        spoken_secret(gateway)
        assert len(gateway.rows()) >= 3
        while_running = files_with(tmp_path, SECRET)
    found = while_running | files_with(tmp_path, SECRET)
    assert not any(name.endswith(".log") for name in found)
    assert bool(found) == (keep == "1"), found


def test_keys_are_nowhere_on_the_disk_and_not_in_the_log(tmp_path: Path):
    with running_gateway(tmp_path, config=SIMULATED, LOG_LEVEL="debug") as gateway, gateway.client() as client:
        spoken_secret(gateway)
        other = {"Authorization": f"Bearer {gateway.test_key}"}
        client.post("/v1/chat/completions", json=ask("hello"), headers=other)
        client.post("/v1/chat/completions", json=ask("hello"), headers={"Authorization": f"Bearer {gateway.api_key}x"})
        gateway.rows()
        keys = (gateway.api_key, gateway.test_key)
        parts = {key[at : at + 8] for key in keys for at in range(21, 57)}
        assert {name for part in parts for name in files_with(tmp_path, part)} == set()
        assert files_with(tmp_path, gateway.key_id), "the id alone is stored, so the search does find what is there"


# --- PostgreSQL -----------------------------------------------------------------------------------------------------


def test_the_same_journey_on_postgresql(tmp_path: Path, postgres_url: str):
    with running_gateway(tmp_path, config=SIMULATED, database_url=postgres_url, SERVER_WORKERS="2") as gateway:
        answers = asyncio.run(ask_all(gateway, 50, 10, "journey"))
        assert statuses(answers) == {200: 500}
        rows = gateway.rows(feature="journey")
        assert {row.request_id for row in rows} == {answer.headers["x-request-id"] for answer in answers}
        assert len(rows) == 500
        asyncio.run(revoke(gateway, gateway.test_key))
        time.sleep(REVOKED_S)
        headers = {"Authorization": f"Bearer {gateway.test_key}"}
        refused = [
            httpx.post(f"{gateway.url}/v1/chat/completions", json=ask("x"), headers=headers, trust_env=False)
            for _ in range(10)
        ]
        assert {response.status_code for response in refused} == {401}
    with (
        running_gateway(tmp_path, config=SIMULATED, database_url=postgres_url) as gateway,
        gateway.client() as client,
    ):
        time.sleep(WARM_S)
        again = client.post("/v1/chat/completions", json=ask("journey 0.0"))
        assert cache_told(again) == "exact"


# --- the local model ------------------------------------------------------------------------------------------------


def test_a_killed_local_model_costs_a_clear_error_at_most_and_comes_back(tmp_path: Path):
    pytest.importorskip("xllamacpp", reason="pip install 'neuralrouting[local]'")
    config = 'local: {enabled: "on", parallel: 2, context_tokens: 1024}\nupstream: {total_timeout_s: 20}'
    with running_gateway(tmp_path, config=config) as gateway:
        [child] = below_that_run(gateway.pid, "neuralrouting.providers.local_server")
        assert asyncio.run(said_locally(gateway, "hello")).status == 200
        answers = asyncio.run(load_while_killing(gateway, child))
        found = statuses(answers)
        assert set(found) <= {200, 502, 503, 504}
        assert found[200] >= 6, "some were served"
        assert sum(found.values()) > found[200], "and some were not"
        for answer in answers:
            assert answer.status == 200 or set(answer_error(answer)) == {"message", "type", "param", "code"}
        deadline_s = time.monotonic() + HEALED_S
        while asyncio.run(said_locally(gateway, f"are you back? {time.monotonic()}")).status != 200:
            assert time.monotonic() < deadline_s, "the model did not come back"
            time.sleep(0.2)
        [new] = below_that_run(gateway.pid, "neuralrouting.providers.local_server")
        assert new != child
        assert "local model died" in gateway.log.read_text()


def answer_error(answer: Answered) -> dict[str, object]:
    return httpx.Response(answer.status, content=answer.body).json()["error"]


async def said_locally(gateway: LiveGateway, prompt: str) -> Answered:
    async with Client(gateway) as client:
        return await client.ask(prompt, model="smollm2-135m-instruct", max_tokens=8)


async def load_while_killing(gateway: LiveGateway, child: int) -> list[Answered]:
    """Four clients ask without a pause; the model is killed once some were served, and they ask on for a while."""
    answers: list[Answered] = []
    some, over = asyncio.Event(), asyncio.Event()

    async def one(number: int) -> None:
        while not over.is_set():
            answers.append(await said_locally(gateway, f"count to ten, please {number} {len(answers)}"))
            if len(answers) == 6:
                some.set()

    asking = [asyncio.create_task(one(number)) for number in range(4)]
    await some.wait()
    os.kill(child, signal.SIGKILL)
    await asyncio.sleep(1.5)
    over.set()
    await asyncio.gather(*asking)
    return answers
