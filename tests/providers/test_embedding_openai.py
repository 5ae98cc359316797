"""An embeddings endpoint as second embedder: what it is asked, what is taken from it, and every way it can fail."""

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Callable

import pytest
from asking import eventually

from fake_upstream import CLOSE, HANG, RESET, FakeUpstream, Recorded, Reply, http_reply, refused_url
from neuralrouting.errors import ConfigError
from neuralrouting.providers.embedding_openai import ANSWER_BYTES, AT_ONCE, FAILURES, OpenAIDecider
from neuralrouting.providers.http import HttpClient

pytestmark = pytest.mark.anyio

KEY = "sk-never-to-be-seen"
PATIENT_MS = 5_000.0
"""A budget that a busy machine does not use up."""
Made = Callable[..., OpenAIDecider]


@pytest.fixture
async def made(anyio_backend: str) -> AsyncIterator[Made]:
    """Make deciders that are closed with the client they share."""
    http, opened = HttpClient(), list[OpenAIDecider]()

    def make(url: str, key: str | None = KEY, timeout_ms: float = PATIENT_MS) -> OpenAIDecider:
        opened.append(OpenAIDecider(http, url + "/v1", "small", key, timeout_ms))
        return opened[-1]

    yield make
    for decider in opened:
        await decider.close()
    await http.close()


def embedding(*numbers: float) -> Reply:
    return http_reply(200, {"object": "list", "model": "small", "data": [{"index": 0, "embedding": list(numbers)}]})


async def test_a_text_is_asked_for_as_openai_documents_it(made: Made):
    async with FakeUpstream([embedding(0.5, -1)]) as endpoint:
        vector = await made(endpoint.url).embed("How do birds find their way?")
    assert vector == bytes([64, 256 - 127])
    (asked,) = endpoint.requests
    assert (asked.method, asked.path) == ("POST", "/v1/embeddings")
    assert asked.json() == {"model": "small", "input": "How do birds find their way?", "encoding_format": "float"}
    assert asked.headers["authorization"] == f"Bearer {KEY}"


async def test_an_endpoint_without_a_key_is_sent_none(made: Made):
    async with FakeUpstream([embedding(1)]) as endpoint:
        assert await made(endpoint.url, None).embed("text") == b"\x7f"
    assert "authorization" not in endpoint.requests[0].headers


async def test_one_connection_serves_all_texts_in_turn_and_a_text_is_asked_once(made: Made):
    async with FakeUpstream([embedding(1, 2)]) as endpoint:
        decider = made(endpoint.url)
        for text in ("one", "two", "one", "three"):
            assert await decider.embed(text) is not None
    assert (endpoint.connections, len(endpoint.requests)) == (1, 3)


def test_the_id_is_host_and_model(made: Made):
    assert OpenAIDecider(HttpClient(), "https://api.example.com/v1/", "small").id == "openai:api.example.com/small"


def test_a_key_that_no_header_can_hold_is_refused_without_being_shown():
    with pytest.raises(ConfigError) as caught:
        OpenAIDecider(HttpClient(), "https://api.example.com/v1", "small", KEY + "\n")
    assert KEY not in caught.value.message


# --- every way to fail is a miss ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "reply",
    [
        http_reply(500, {"error": {"message": "no"}}),
        http_reply(401, {"error": {"message": f"bad key {KEY}"}}),
        http_reply(302, b"", {"location": "http://169.254.169.254/"}),
        http_reply(200, b"not json"),
        http_reply(200, b"[]"),
        http_reply(200, {"data": []}),
        http_reply(200, {"data": [{"embedding": [1]}, {"embedding": [1]}]}),
        http_reply(200, {"data": [{"embedding": "AACAPw=="}]}),
        http_reply(200, {"data": [{"embedding": [1, None]}]}),
        http_reply(200, b'{"data":[{"embedding":[1,NaN]}]}'),
        http_reply(200, b'{"data":[{"embedding":[1,1e999]}]}'),
        embedding(),
        embedding(0, 0),
        embedding(*[1.0] * 4_097),
        http_reply(200, b" " * (ANSWER_BYTES + 1)),
        http_reply(200, b'{"data":').then(RESET),
        Reply((CLOSE,)),
        Reply((b"HTTP/1.1 200 OK\r\ncontent-length: 9999\r\n\r\n{", CLOSE)),
    ],
)
async def test_an_answer_that_holds_no_vector_is_a_miss(made: Made, reply: Reply, caplog: pytest.LogCaptureFixture):
    with caplog.at_level(logging.DEBUG):
        async with FakeUpstream([reply]) as endpoint:
            assert await made(endpoint.url).embed("a text of somebody") is None
    told = [record for record in caplog.records if record.name == "neuralrouting.embedding"]
    assert len(told) == 1
    assert KEY not in caplog.text
    assert "somebody" not in caplog.text


async def test_an_endpoint_that_is_down_is_a_miss(made: Made):
    assert await made(refused_url()).embed("text") is None


async def test_a_vector_of_another_length_than_those_before_is_not_taken(made: Made):
    async with FakeUpstream([embedding(1, 2), embedding(1, 2, 3), embedding(2, 1)]) as endpoint:
        decider = made(endpoint.url)
        found = [await decider.embed(text) for text in ("one", "two", "three")]
    assert [vector is None for vector in found] == [False, True, False]


# --- the budget -----------------------------------------------------------------------------------------------------


async def test_an_endpoint_that_hangs_costs_the_budget_and_no_more(made: Made):
    async with FakeUpstream([Reply((HANG,))]) as endpoint:
        decider = made(endpoint.url, timeout_ms=100)
        started_s = time.monotonic()
        assert await decider.embed("text") is None
        took_s = time.monotonic() - started_s
        await decider.close()
    assert 0.09 < took_s < 2


async def test_an_answer_that_comes_late_is_there_for_storing(made: Made):
    async with FakeUpstream([Reply((0.2, *embedding(1, 2).steps))]) as endpoint:
        decider = made(endpoint.url, timeout_ms=20)
        assert await decider.embed("text") is None
        await asyncio.sleep(0.5)
        assert await decider.embed("text") is not None
    assert len(endpoint.requests) == 1


async def test_a_call_that_nobody_waits_for_ends_as_well(made: Made):
    async with FakeUpstream([Reply((HANG,))]) as endpoint:
        assert await made(endpoint.url, timeout_ms=20).embed("text") is None
        await eventually(lambda: endpoint.hangups, within_s=10)


async def test_more_texts_at_a_time_than_the_bound_are_misses(made: Made):
    async with FakeUpstream([Reply((0.2, *embedding(1, 2).steps))]) as endpoint:
        decider = made(endpoint.url)
        found = await asyncio.gather(*(decider.embed(str(place)) for place in range(AT_ONCE + 3)))
    assert [vector is None for vector in found] == [False] * AT_ONCE + [True] * 3


# --- an endpoint that is dead is left alone -------------------------------------------------------------------------


async def test_after_failures_in_a_row_it_is_not_asked_for_a_while(made: Made):
    async with FakeUpstream([http_reply(500)]) as endpoint:
        decider = made(endpoint.url)
        for place in range(FAILURES + 20):
            assert await decider.embed(str(place)) is None
    assert len(endpoint.requests) == FAILURES


async def test_late_answers_count_as_failures(made: Made):
    async with FakeUpstream([Reply((HANG,))]) as endpoint:
        decider = made(endpoint.url, timeout_ms=10)
        for place in range(FAILURES + 20):
            assert await decider.embed(str(place)) is None
        assert len(endpoint.requests) == FAILURES
        await decider.close()


async def test_what_is_known_is_told_while_the_endpoint_rests(made: Made):
    async with FakeUpstream([embedding(1, 2), http_reply(500)]) as endpoint:
        decider = made(endpoint.url)
        known = await decider.embed("known")
        for place in range(FAILURES):
            assert await decider.embed(str(place)) is None
        assert await decider.embed("known") == known is not None


async def test_an_answer_between_failures_ends_the_count(made: Made):
    def reply(asked: Recorded) -> Reply:
        return embedding(1, 2) if asked.json()["input"] == "good" else http_reply(500)

    async with FakeUpstream(reply) as endpoint:
        decider = made(endpoint.url)
        for place in range(FAILURES - 1):
            await decider.embed(str(place))
        assert await decider.embed("good") is not None
        for place in range(FAILURES - 1):
            await decider.embed(str(100 + place))
    assert len(endpoint.requests) == 2 * FAILURES - 1


async def test_after_the_rest_one_failure_is_enough_for_another(made: Made):
    async with FakeUpstream([http_reply(500)]) as endpoint:
        decider = made(endpoint.url)
        decider.rest_s = 0.2
        for place in range(FAILURES):
            await decider.embed(str(place))
        await asyncio.sleep(0.3)
        for place in range(10, 20):
            await decider.embed(str(place))
    assert len(endpoint.requests) == FAILURES + 1
