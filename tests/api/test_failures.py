"""When a provider fails or a client leaves: who is told what, and what stays behind."""

import time

import httpx
import msgspec
import pytest
from conversation import (
    ASK_USAGE,
    CHAT,
    DISPATCH,
    DISPATCH_STREAM,
    DONE,
    ask,
    envelope,
    events,
    row_of,
    said,
    wait_until,
)
from staging import Stage

from fake_faults import CUT_AT, FAULTS, GOOD, STREAM_FAULTS
from fake_replies import Answer, sse
from fake_upstream import HANG, Entry, Reply
from neuralrouting.exchange import Attempt
from neuralrouting.storage.requests import RequestRow

GONE_S = 0.5
"""Within this after a client has left its provider must be rid of the request."""


def attempts(row: RequestRow) -> list[Attempt]:
    return msgspec.json.decode(row.attempts, type=list[Attempt])


# --- before the first byte ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("fields", [{}, {"stream": True}], ids=["whole", "streamed"])
@pytest.mark.parametrize(
    ("fault", "status", "code"),
    [
        ("401", 502, "provider_auth"),
        ("429 quota", 502, "provider_auth"),
        ("429 retry-after date", 429, "upstream_rate_limited"),
        ("400", 400, "upstream_rejected"),
        ("500", 502, "upstream_error"),
        ("529", 503, "upstream_overloaded"),
        ("504", 504, "upstream_timeout"),
        ("302", 502, "upstream_error"),
        ("html", 502, "upstream_bad_response"),
        ("reset before headers", 502, "upstream_unreachable"),
        ("echoes secrets", 502, "upstream_error"),
    ],
)
def test_a_providers_failure_has_a_status_and_a_code_of_ours(
    stage: Stage, on_stage: httpx.Client, fault: str, status: int, code: str, fields: dict[str, object]
):
    response = on_stage.post(CHAT, json=ask(stage.prompt(FAULTS[fault]), model="m", **fields))
    message = envelope(response, status, code)
    assert "Bearer" not in message
    row = row_of(stage.gateway, response)
    assert (row.status, row.error_code, row.cost_nanousd, row.stream) == (status, code, 0, bool(fields))
    assert {attempt.outcome for attempt in attempts(row)} == {code}


def test_nobody_at_the_address_is_a_502(stage: Stage, on_stage: httpx.Client):
    response = on_stage.post(CHAT, json=ask(stage.prompt(), model="failing"))
    envelope(response, 502, "upstream_unreachable")


@pytest.mark.parametrize("fields", [{}, {"stream": True}], ids=["whole", "streamed"])
def test_before_the_first_byte_the_next_one_serves_and_every_attempt_is_written_down(
    stage: Stage, on_stage: httpx.Client, fields: dict[str, object]
):
    prompt = stage.prompt()
    response = on_stage.post(CHAT, json=ask(prompt, model="two-homes", **fields))
    assert said(response) == f"answer to {prompt}"
    assert response.headers["x-nr-provider"] == "spare"
    row = row_of(stage.gateway, response)
    tried = attempts(row)
    assert tried[-1].outcome == "ok"
    # the dead one is asked first, unless it failed a moment ago and is cooling
    assert [a.deployment for a in tried] in (["dead/two-homes", "spare/two-homes"], ["spare/two-homes"])
    assert set(msgspec.json.decode(row.candidates)) == {"dead/two-homes", "spare/two-homes"}


def test_a_failure_before_the_first_token_of_a_stream_is_an_error_and_no_stream(stage: Stage, on_stage: httpx.Client):
    prompt = stage.prompt(STREAM_FAULTS["cut before the first event"])
    envelope(on_stage.post(CHAT, json=ask(prompt, model="m", stream=True)), 502, "upstream_bad_response")


# --- inside a stream ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", [CHAT, DISPATCH_STREAM])
@pytest.mark.parametrize("fault", ["cut, chunked", "cut, length", "cut, close", "reset", "error event later"])
def test_a_stream_that_breaks_ends_with_an_error_and_without_an_end_mark(
    stage: Stage, on_stage: httpx.Client, fault: str, path: str
):
    response = on_stage.post(path, json=ask(stage.prompt(STREAM_FAULTS[fault]), model="m", **ASK_USAGE))
    *found, last = events(response)
    assert found, "some text came before"
    assert all(chunk["object"] == "chat.completion.chunk" for chunk in found)
    assert set(last) == {"error"}
    assert set(last["error"]) == {"message", "type", "param", "code"}
    assert last["error"]["code"] == "upstream_interrupted"
    row = row_of(stage.gateway, response)
    assert row.status != 200
    assert row.error_code
    assert attempts(row)[-1].outcome == row.error_code


# --- clients that leave ---------------------------------------------------------------------------------------------


def leaves_mid_stream() -> Entry:
    return sse([*GOOD.openai_events()[:CUT_AT]], ending=(HANG,))


@pytest.mark.parametrize("path", [CHAT, DISPATCH_STREAM])
def test_a_client_that_leaves_a_stream_ends_the_providers_work_too(stage: Stage, path: str):
    prompt, before = stage.prompt(leaves_mid_stream()), len(stage.upstream.hangups)
    with stage.gateway.client() as leaving:
        with leaving.stream("POST", path, json=ask(prompt, model="m", stream=True)) as response:
            next(response.iter_bytes())
        left_s = time.monotonic()
    wait_until(lambda: len(stage.upstream.hangups) > before, GONE_S)
    assert stage.upstream.hangups[-1] - left_s < GONE_S
    row = row_of(stage.gateway, response)
    assert (row.status, row.error_code) == (499, "client_closed")
    assert row.completion_tokens > 0, "what was already said is counted"


@pytest.mark.parametrize("fields", [{}, {"stream": True}], ids=["whole", "streamed"])
@pytest.mark.parametrize("path", [CHAT, DISPATCH])
def test_a_client_that_leaves_while_it_waits_ends_the_providers_work_too(
    stage: Stage, path: str, fields: dict[str, object]
):
    prompt, before = stage.prompt(Reply((HANG,))), len(stage.upstream.hangups)
    with stage.gateway.client() as leaving, pytest.raises(httpx.ReadTimeout):
        leaving.post(path, json=ask(prompt, model="m", feature=prompt, **fields), timeout=0.2)
    wait_until(lambda: len(stage.upstream.hangups) > before, GONE_S)
    [row] = stage.gateway.rows(feature=prompt)
    assert (row.status, row.error_code, row.completion_tokens) == (499, "client_closed", 0)


def test_the_gateway_serves_on_after_clients_have_left(stage: Stage, on_stage: httpx.Client):
    for _ in range(5):
        prompt = stage.prompt(leaves_mid_stream())
        with (
            stage.gateway.client() as leaving,
            leaving.stream("POST", CHAT, json=ask(prompt, model="m", stream=True)) as response,
        ):
            next(response.iter_bytes())
    assert said(on_stage.post(CHAT, json=ask(stage.prompt(Answer("still here")), model="m"))) == "still here"


def test_done_is_never_told_after_an_error(stage: Stage, on_stage: httpx.Client):
    for fault in STREAM_FAULTS.values():
        if fault in (STREAM_FAULTS["hang"], STREAM_FAULTS["hang before the first event"]):
            continue  # they take as long as the gateway's patience
        response = on_stage.post(CHAT, json=ask(stage.prompt(fault), model="m", stream=True))
        if response.status_code == 200:
            assert events(response)[-1] != DONE
