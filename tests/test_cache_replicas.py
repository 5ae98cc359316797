"""Gateways that share a database share answers, and forget them together."""

import asyncio
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest
from click.testing import CliRunner

from cache_rows import answer, stored
from cache_told import cache_told
from live_gateway import LiveGateway, running_gateway
from many_clients import client_of_each_worker
from neuralrouting.accounts.keys import create_key
from neuralrouting.cli import main
from neuralrouting.storage.accounts import AccountRows
from neuralrouting.storage.entries import INSERT_ENTRY, entry_values
from neuralrouting.storage.keys import KeyOptions, KeyRows
from neuralrouting.storage.trail import GATEWAY
from postgres_server import PostgresServer

SIMULATED = 'local: {enabled: "off"}'
PATIENT = {"SEMANTIC_CACHE_SHARED_TIMEOUT_MS": "2000"}
"""A lookup that a busy machine delays is a miss, which is not what is tried here."""
PROMISE_S = 2.0
SOON_S = 5.0
QUESTION, CANONICAL = "What is the boiling point of mercury?", "whats the boiling point of MERCURY"
STAIN, STAINS = "How do I remove a coffee stain from a carpet?", "How can I remove coffee stains from a carpet?"


@pytest.fixture(scope="module")
def replicas(
    postgres_server: PostgresServer, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[LiveGateway, LiveGateway]]:
    """Two gateways, each with files of its own, on one PostgreSQL."""
    postgres_server.empty()
    folder, url = tmp_path_factory.mktemp("replicas"), postgres_server.url()
    with (
        running_gateway(folder / "one", config=SIMULATED, database_url=url, **PATIENT) as one,
        running_gateway(folder / "other", config=SIMULATED, database_url=url, **PATIENT) as other,
    ):
        yield one, other


def told(gateway: LiveGateway, place: str, text: str, key: str | None = None) -> httpx.Response:
    """Ask under a system prompt, which keeps the tests of this file apart."""
    messages = [{"role": "system", "content": place}, {"role": "user", "content": text}]
    with gateway.client(**({"Authorization": f"Bearer {key}"} if key else {})) as client:
        response = client.post("/v1/chat/completions", json={"model": "auto", "messages": messages})
    assert response.status_code == 200, response.text
    return response


def level(gateway: LiveGateway, place: str, text: str) -> str:
    return cache_told(told(gateway, place, text))


def entry_of(response: httpx.Response) -> str:
    return dict(part.split("=") for part in response.headers["x-nr-cache"].split("; ")[1:])["entry"]


def count(gateway: LiveGateway, what: str) -> int:
    async def read() -> int:
        async with gateway.opened() as database:
            return (await database.fetch(f"SELECT COUNT(*) FROM {what}"))[0][0]

    return asyncio.run(read())


def newest(gateway: LiveGateway) -> int:
    """The number of the row that was written last."""

    async def read() -> int:
        async with gateway.opened() as database:
            return (await database.fetch("SELECT COALESCE(MAX(seq), 0) FROM cache_entries"))[0][0]

    return asyncio.run(read())


def wait_until(happened: Callable[[], bool], within_s: float) -> None:
    deadline_s = time.monotonic() + within_s
    while not happened():
        assert time.monotonic() < deadline_s, f"it did not happen within {within_s} s"
        time.sleep(0.02)


def answered(gateway: LiveGateway, place: str, text: str) -> None:
    """Have a gateway ask its model, and wait until the answer is in the database."""
    before = newest(gateway)  # rows of earlier tests may go meanwhile, so they are not counted
    assert level(gateway, place, text) == "miss"
    wait_until(lambda: newest(gateway) > before, SOON_S)


def vectors_made(gateway: LiveGateway) -> None:
    """Wait until every question can be found by its direction."""
    with_a_question = "cache_entries WHERE scope IS NOT NULL"
    wait_until(lambda: count(gateway, "cache_vectors") == count(gateway, with_a_question), SOON_S)


def owner_key(gateway: LiveGateway) -> str:
    async def made() -> str:
        async with gateway.opened() as database:
            options, now_ms = KeyOptions(role="owner"), int(time.time() * 1000)
            return (
                await create_key(
                    KeyRows(database), "default", "o", live=True, now_ms=now_ms, options=options, actor=GATEWAY
                )
            ).key

    return asyncio.run(made())


# --- what one has answered, the other serves ------------------------------------------------------------------------


def test_an_answer_is_a_hit_at_the_other_as_soon_as_it_is_written(replicas: tuple[LiveGateway, LiveGateway]):
    one, other = replicas
    for number in range(8):  # that its poll, once a second, came in between each time is out of the question
        answered(one, "exact", f"{QUESTION} {number}")
        assert level(other, "exact", f"{QUESTION} {number}") == "exact"


def test_other_words_find_it_at_the_other_a_moment_later(replicas: tuple[LiveGateway, LiveGateway]):
    one, other = replicas
    for question, again in ((QUESTION, CANONICAL), (STAIN, STAINS)):
        answered(one, "alike", question)
        vectors_made(one)
        first, hit = told(one, "alike", question), told(other, "alike", again)
        assert cache_told(hit) == "semantic"
        assert entry_of(hit) == entry_of(first)
        assert hit.json()["choices"] == first.json()["choices"]


def test_what_does_not_fit_into_a_replicas_memory_is_found_through_the_database(
    replicas: tuple[LiveGateway, LiveGateway], tmp_path: Path
):
    one, _ = replicas
    answered(one, "large", QUESTION)
    answered(one, "large", STAIN)
    entries = [stored(os.urandom(32), body=answer("long " * 20_000), expires_ms=1 << 50) for _ in range(11)]

    async def crowd_out() -> None:
        async with one.opened() as database:
            await database.write([(INSERT_ENTRY, [entry_values(entry) for entry in entries])])

    asyncio.run(crowd_out())
    vectors_made(one)
    with running_gateway(
        tmp_path, config=SIMULATED, database_url=one.database_url, CACHE_MEMORY_MB="1", **PATIENT
    ) as small:
        assert [level(small, "large", text) for text in (STAINS, CANONICAL, STAIN)] == ["semantic", "semantic", "exact"]


def test_two_accounts_share_nothing_through_the_database(replicas: tuple[LiveGateway, LiveGateway]):
    one, other = replicas

    async def strangers_key() -> str:
        async with other.opened() as database:
            now_ms = int(time.time() * 1000)
            await AccountRows(database).ensure("stranger", "stranger", now_ms, actor=GATEWAY)
            return (await create_key(KeyRows(database), "stranger", "s", live=True, now_ms=now_ms, actor=GATEWAY)).key

    answered(one, "apart", QUESTION)
    answered(one, "apart", STAIN)
    vectors_made(one)
    key = asyncio.run(strangers_key())
    for text in (QUESTION, CANONICAL, STAINS):
        level_of_stranger = cache_told(told(other, "apart", text, key))
        assert level_of_stranger == ("semantic" if text == CANONICAL else "miss"), "of its own question only"
    assert level(other, "apart", STAINS) == "semantic"


def test_answers_to_other_words_outlive_a_restart(tmp_path: Path):
    with running_gateway(tmp_path, config=SIMULATED) as gateway:
        for text in (QUESTION, STAIN):
            answered(gateway, "restarted", text)
    with running_gateway(tmp_path, config=SIMULATED) as gateway:
        time.sleep(0.5)  # the memory is filled behind the first requests
        assert [level(gateway, "restarted", text) for text in (CANONICAL, STAINS, STAIN)] == [
            "semantic", "semantic", "exact",
        ]  # fmt: skip


# --- forgetting -----------------------------------------------------------------------------------------------------


def test_a_purge_at_one_reaches_the_other_within_two_seconds(replicas: tuple[LiveGateway, LiveGateway]):
    one, other = replicas
    answered(one, "purged", QUESTION)
    entry = entry_of(told(other, "purged", QUESTION))  # from here on it is in the memory of both
    with one.client(Authorization=f"Bearer {owner_key(one)}") as owner:
        assert owner.delete("/v1/cache", params={"entry": entry}).json()["purged"] >= 1
    wait_until(lambda: level(other, "purged", QUESTION) == "miss", PROMISE_S)


def test_a_judgement_at_one_reaches_the_other_within_two_seconds(replicas: tuple[LiveGateway, LiveGateway]):
    one, other = replicas
    answered(one, "judged", STAIN)
    wait_until(lambda: level(other, "judged", STAIN) == "exact", SOON_S)
    hit = told(other, "judged", STAINS)
    assert cache_told(hit) == "semantic"
    body = {"entry": entry_of(hit), "agreed": False, "similarity": hit.json()["cache_similarity"]}
    with one.client(Authorization=f"Bearer {owner_key(one)}") as owner:
        assert owner.post("/v1/cache/judgements", json=body).status_code == 201
    wait_until(lambda: level(other, "judged", STAIN) == "miss", PROMISE_S)
    assert level(other, "judged", STAINS) == "miss", "as alike as before is no longer enough, here too"


def test_a_purge_by_the_command_line_reaches_every_worker_within_two_seconds(tmp_path: Path):
    environ = {"NEURALROUTING_CONFIG": str(tmp_path / "neuralrouting.yaml"), "DATA_DIR": str(tmp_path)}
    texts = (QUESTION, STAIN)  # each worker is asked one of them: who misses stores its answer anew

    async def journey(pair: LiveGateway) -> None:
        async with client_of_each_worker(pair, pair.api_key) as clients:
            for text in texts:
                assert cache_told(await clients[0].ask(text)) == "miss"
            await asyncio.sleep(PROMISE_S)
            assert [cache_told(await clients[1].ask(text)) for text in (CANONICAL, STAINS)] == ["semantic"] * 2
            words = ["cache", "purge", "--all"]
            done = await asyncio.to_thread(CliRunner().invoke, main, words, env=environ, prog_name="neuralrouting")
            assert done.exit_code == 0, done.output
            deadline_s = time.monotonic() + PROMISE_S
            for client, text in zip(clients, texts, strict=True):
                while cache_told(await client.ask(text)) != "miss":
                    assert time.monotonic() < deadline_s
                    await asyncio.sleep(0.02)

    with running_gateway(tmp_path, config=SIMULATED, SERVER_WORKERS="2") as pair:
        asyncio.run(journey(pair))
