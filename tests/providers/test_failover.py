"""The failover table: each failure of a provider, in either form, as first of two, as last, and as the only one."""

import time

import msgspec
import pytest
from dispatching import Scene, scene
from openaiish import KEY

from fake_faults import FAULTS, GOOD, STREAM_FAULTS, TEXT, Fault, error
from neuralrouting.errors import UpstreamError

pytestmark = pytest.mark.anyio


class Row(msgspec.Struct, frozen=True):
    """What a failure means. `tries`: requests to a lone candidate; `rest_s`: how long others are then preferred."""

    status: int
    code: str
    told: int | None = None
    failover: bool = True
    tries: int = 1
    rest_s: float = 5.0


UNREACHABLE = Row(502, "upstream_unreachable")
BAD = Row(502, "upstream_bad_response")
LIMITED = Row(429, "upstream_rate_limited", 429)
AUTH = Row(502, "provider_auth", 401, rest_s=600)
REJECTED = Row(400, "upstream_rejected", 400, failover=False, rest_s=0)
FAILED = Row(502, "upstream_error", 500, tries=2)
OVERLOADED = Row(503, "upstream_overloaded", 503, tries=2)
LATE = Row(504, "upstream_timeout")
REFUSED = Row(400, "content_filter", 400, failover=False, rest_s=0)


def told(row: Row, status: int, **changes: object) -> Row:
    return msgspec.structs.replace(row, told=status, **changes)


OTHERS: dict[str, Fault] = {
    "409": error(409, "conflict_error"),
    "422": error(422, "invalid_request_error"),
    "425": error(425, "too_early"),
    "402": error(402, "billing_error"),
    "522": error(522, "api_error"),
    "400 content filter": error(400, "invalid_request_error", code="content_filter"),
    "400 unsupported": error(400, "invalid_request_error", "Unsupported parameter", "unsupported_parameter"),
    "400 that quotes the prompt": error(400, "invalid_request_error", "Invalid name: 'get_billing_status'"),
    "400 no balance": error(400, "invalid_request_error", "Your credit balance is too low to access the API"),
    "400 string too long": error(400, "invalid_request_error", "Invalid 'tools[0].function.name': string too long"),
    "429 no balance": error(429, "", "You exceeded your current quota, please check your plan and billing details"),
    "403 moderated": error(403, "", "Your input was flagged for harassment"),
    "500 retry-after": error(500, "api_error", headers={"retry-after": "7"}),
    "503 retry-after": error(503, "api_error", headers={"retry-after": "0.3"}),
    "401 retry-after": error(401, "authentication_error", headers={"retry-after": "1"}),
    "429 retry-after long": error(429, "rate_limit_error", headers={"retry-after": "30"}),
    "429 retry-after zero": error(429, "rate_limit_error", headers={"retry-after": "0"}),
}
TABLE: dict[str, Row] = {
    "reset before headers": UNREACHABLE,
    "close before headers": UNREACHABLE,
    "reset in headers": UNREACHABLE,
    "header flood": BAD,
    "1xx flood": BAD,
    "not http": BAD,
    "two lengths": BAD,
    "408": told(LATE, 408),
    "409": told(FAILED, 409),
    "425": told(FAILED, 425),
    "429": LIMITED,
    "429 retry-after": told(LIMITED, 429, tries=2, rest_s=1),
    "429 retry-after zero": told(LIMITED, 429, tries=2),
    "429 retry-after long": told(LIMITED, 429, rest_s=30),
    "429 retry-after date": LIMITED,
    "429 retry-after garbage": LIMITED,
    "429 retry-after negative": LIMITED,
    "429 retry-after huge": LIMITED,
    "429 quota": told(AUTH, 429),
    "429 no balance": told(AUTH, 429),
    "400 no balance": told(AUTH, 400),
    "401": AUTH,
    "401 retry-after": AUTH,
    "402": told(AUTH, 402),
    "403": told(AUTH, 403),
    "500": FAILED,
    "500 retry-after": told(FAILED, 500, tries=1, rest_s=7),
    "502 html": told(FAILED, 502),
    "503": OVERLOADED,
    "503 retry-after": told(OVERLOADED, 503, rest_s=0.3),
    "504": told(LATE, 504),
    "522": told(FAILED, 522),
    "529": told(OVERLOADED, 529),
    "302": told(FAILED, 302),
    "error in 200": told(BAD, 200),
    "malformed json": BAD,
    "truncated json": BAD,
    "invalid utf-8": BAD,
    "array": BAD,
    "html": BAD,
    "empty body": BAD,
    "gzip": BAD,
    "reset in body": BAD,
    "close in body": BAD,
    "400": REJECTED,
    "413": told(REJECTED, 413),
    "422": told(REJECTED, 422),
    "400 that quotes the prompt": REJECTED,
    "400 string too long": REJECTED,
    "400 context length": Row(400, "context_length_exceeded", 400, rest_s=0),
    "400 unsupported": Row(400, "upstream_unsupported", 400, rest_s=0),
    "404 model": Row(400, "upstream_unsupported", 404, rest_s=0),
    "400 content filter": REFUSED,
    "403 moderated": told(REFUSED, 403),
    "echoes secrets": FAILED,
    "hang before headers": LATE,
    "header drip": LATE,
    "hang in body": LATE,
}
STREAM_TABLE: dict[str, Row] = {
    "error event first": told(Row(503, "upstream_overloaded", tries=2), 200),
    "cut before the first event": BAD,
    "event is not json": BAD,
    "hang before the first event": LATE,
}
WHOLE_ONLY = {
    # Their streams are good, or break after the first token: see test_dispatcher.py.
    "malformed json", "truncated json", "invalid utf-8", "array", "empty body",
    "reset in body", "close in body", "hang in body",
}  # fmt: skip
CASES = [(name, False) for name in TABLE]
CASES += [(name, True) for name in TABLE if name not in WHOLE_ONLY]
CASES += [(name, True) for name in STREAM_TABLE]
HANGING = {"hang before headers", "header drip", "hang in body", "hang before the first event"}


def row_of(name: str, *, streamed: bool) -> Row:
    row = (STREAM_TABLE if streamed and name in STREAM_TABLE else TABLE)[name]
    if streamed and name == "error in 200":
        return msgspec.structs.replace(row, told=None)  # not a stream: its body is not looked at
    return row


def fault_of(name: str) -> Fault:
    return {**FAULTS, **STREAM_FAULTS, **OTHERS}[name]


def limits(name: str) -> dict[str, float]:
    """Deadlines so short that what hangs is given up soon; the others get theirs in full."""
    if name not in HANGING:
        return {}
    return {"total_timeout_s": 0.5, "stream_timeout_s": 0.5, "first_token_timeout_s": 0.25, "idle_timeout_s": 0.25}


def check(caught: UpstreamError, row: Row, seen: Scene, name: str) -> None:
    """What the client would see, and how long the candidate rests."""
    assert (caught.status, caught.code) == (row.status, row.code)
    assert caught.provider_status == row.told
    assert seen.rests_s(name) == pytest.approx(row.rest_s, abs=0.3)
    assert seen.attempts[-1].provider_status == row.told
    assert KEY not in f"{caught!r} {seen.attempts}"


def test_the_table_knows_every_fault() -> None:
    assert FAULTS.keys() | OTHERS.keys() == TABLE.keys()


@pytest.mark.parametrize(("name", "streamed"), CASES)
async def test_the_first_of_two_fails(name: str, streamed: bool):  # noqa: FBT001
    row = row_of(name, streamed=streamed)
    async with scene([fault_of(name)], [GOOD], **limits(name)) as seen:
        if row.failover:
            assert await seen.text(streamed=streamed) == TEXT
            assert seen.asked == (1, 1)
            assert seen.outcomes == ([row.code] if streamed else [row.code, "ok"])
            assert seen.rests_s("first") == pytest.approx(row.rest_s, abs=0.3)
            assert seen.attempts[0].provider_status == row.told
        else:
            with pytest.raises(UpstreamError) as caught:
                await seen.text(streamed=streamed)
            check(caught.value, row, seen, "first")
            assert (seen.asked, seen.outcomes) == ((1, 0), [row.code])
        assert seen.elapsed_s < 0.6
        assert not seen.rests_s("second")


@pytest.mark.parametrize(("name", "streamed"), CASES)
async def test_the_last_of_two_fails(name: str, streamed: bool):  # noqa: FBT001
    row = row_of(name, streamed=streamed)
    async with scene([FAULTS["503"]], [fault_of(name)], **limits(name)) as seen:
        with pytest.raises(UpstreamError) as caught:
            await seen.text(streamed=streamed)
        check(caught.value, row, seen, "second")
        assert (seen.asked, seen.outcomes) == ((1, 1), ["upstream_overloaded", row.code])
        assert seen.elapsed_s < 0.9


@pytest.mark.parametrize(("name", "streamed"), CASES)
async def test_the_only_one_fails(name: str, streamed: bool):  # noqa: FBT001
    row = row_of(name, streamed=streamed)
    async with scene([fault_of(name)], **limits(name)) as seen:
        started_s = time.monotonic()
        with pytest.raises(UpstreamError) as caught:
            await seen.text(streamed=streamed)
        check(caught.value, row, seen, "first")
        assert (seen.asked, seen.outcomes) == ((row.tries,), [row.code] * row.tries)
        pause_s = row.rest_s if row.tries == 2 and row.rest_s < 2 else 0.25 * (row.tries - 1)
        assert time.monotonic() - started_s < pause_s + (0.9 if name in HANGING else 0.4)


@pytest.mark.parametrize("streamed", [False, True])
@pytest.mark.parametrize("name", [name for name, row in TABLE.items() if row.tries == 2 and row.rest_s != 1])
async def test_a_second_try_may_succeed(name: str, streamed: bool):  # noqa: FBT001
    async with scene([fault_of(name), GOOD]) as seen:
        assert await seen.text(streamed=streamed) == TEXT
        assert (seen.asked, seen.outcomes[0]) == ((2,), TABLE[name].code)
