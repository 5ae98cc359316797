"""Rows of idempotency keys: one taker, one answer, and nothing that stays for ever."""

import asyncio
from itertools import count

import msgspec
import pytest

from neuralrouting.storage.database import Database
from neuralrouting.storage.idempotency import (
    MAX_BODY_BYTES,
    PURGED_AT_ONCE,
    Claim,
    IdempotencyRows,
    Mine,
    Mismatch,
    Running,
    Stored,
)

pytestmark = pytest.mark.anyio

CLAIM = Claim("acme", "/v1/dispatch", "key-1", b"f" * 32)
OTHER_BODY = msgspec.structs.replace(CLAIM, fingerprint=b"g" * 32)
ANSWER = Stored(200, (("content-type", "application/json"), ("x-nr-model", "m")), b'{"a":"\xc3\xa9\x00"}')
NOW_MS, LATER_MS = 1_000, 61_000


@pytest.fixture
def rows(database: Database) -> IdempotencyRows:
    return IdempotencyRows(database)


async def test_the_first_may_make_the_answer_and_the_next_learns_who_does(rows: IdempotencyRows):
    assert await rows.begin(CLAIM, "one", NOW_MS, LATER_MS) == Mine()
    assert await rows.begin(CLAIM, "two", NOW_MS + 1, LATER_MS) == Running("one")
    assert await rows.find(CLAIM, NOW_MS) == Running("one")


async def test_of_many_at_once_one_may_make_the_answer(rows: IdempotencyRows):
    found = await asyncio.gather(*(rows.begin(CLAIM, f"w{n}", NOW_MS, LATER_MS) for n in range(30)))
    assert found.count(Mine()) == 1
    assert [it for it in found if it != Mine()] == [Running(f"w{found.index(Mine())}")] * 29


async def test_a_finished_answer_comes_back_to_the_byte_until_it_expires(rows: IdempotencyRows):
    await rows.begin(CLAIM, "one", NOW_MS, LATER_MS)
    assert await rows.finish(CLAIM, "one", ANSWER, 90_000)
    assert await rows.begin(CLAIM, "two", 89_999, 200_000) == ANSWER
    assert await rows.find(CLAIM, 89_999) == ANSWER
    assert await rows.find(CLAIM, 90_000) is None
    assert await rows.begin(CLAIM, "two", 90_000, 200_000) == Mine()
    assert await rows.find(CLAIM, 90_000) == Running("two"), "nothing of the old answer is left"


async def test_an_answer_is_finished_once(rows: IdempotencyRows):
    await rows.begin(CLAIM, "one", NOW_MS, LATER_MS)
    assert await rows.finish(CLAIM, "one", ANSWER, LATER_MS)
    assert not await rows.finish(CLAIM, "one", msgspec.structs.replace(ANSWER, body=b"other"), LATER_MS)
    assert await rows.find(CLAIM, NOW_MS) == ANSWER


async def test_another_request_under_the_key_is_told_so_before_and_after_the_answer(rows: IdempotencyRows):
    await rows.begin(CLAIM, "one", NOW_MS, LATER_MS)
    assert await rows.begin(OTHER_BODY, "one", NOW_MS, LATER_MS) == Mismatch()
    await rows.finish(CLAIM, "one", ANSWER, LATER_MS)
    assert await rows.begin(OTHER_BODY, "one", NOW_MS, LATER_MS) == Mismatch()
    assert await rows.find(OTHER_BODY, NOW_MS) == Mismatch()
    assert await rows.begin(OTHER_BODY, "one", LATER_MS, LATER_MS + 1) == Mine(), "an expired key is free"


@pytest.mark.parametrize("field", ["account_id", "endpoint", "key"])
async def test_a_key_counts_within_its_account_and_endpoint(rows: IdempotencyRows, field: str):
    elsewhere = msgspec.structs.replace(OTHER_BODY, **{field: "another"})
    await rows.begin(CLAIM, "one", NOW_MS, LATER_MS)
    assert await rows.begin(elsewhere, "one", NOW_MS, LATER_MS) == Mine()
    await rows.finish(CLAIM, "one", ANSWER, LATER_MS)
    assert await rows.find(elsewhere, NOW_MS) == Running("one")


async def test_what_is_given_up_runs_anew(rows: IdempotencyRows):
    await rows.begin(CLAIM, "one", NOW_MS, LATER_MS)
    await rows.abandon(CLAIM, "one")
    assert await rows.find(CLAIM, NOW_MS) is None
    assert await rows.begin(CLAIM, "two", NOW_MS, LATER_MS) == Mine()


async def test_nobody_ends_what_is_anothers_or_finished(rows: IdempotencyRows):
    await rows.begin(CLAIM, "one", NOW_MS, LATER_MS)
    await rows.abandon(CLAIM, "two")
    await rows.abandon(OTHER_BODY, "one")
    assert not await rows.finish(CLAIM, "two", ANSWER, LATER_MS)
    assert not await rows.finish(OTHER_BODY, "one", ANSWER, LATER_MS)
    assert await rows.find(CLAIM, NOW_MS) == Running("one")
    await rows.finish(CLAIM, "one", ANSWER, LATER_MS)
    await rows.abandon(CLAIM, "one")
    assert await rows.find(CLAIM, NOW_MS) == ANSWER


async def test_a_worker_that_was_thought_dead_does_not_overwrite_who_followed_it(rows: IdempotencyRows):
    await rows.begin(CLAIM, "slow", NOW_MS, LATER_MS)
    assert await rows.begin(CLAIM, "next", LATER_MS, LATER_MS + 60_000) == Mine()
    assert not await rows.finish(CLAIM, "slow", ANSWER, 900_000)
    assert await rows.find(CLAIM, LATER_MS) == Running("next")


async def test_an_answer_of_the_largest_size_is_kept_and_a_larger_one_gives_the_key_up(rows: IdempotencyRows):
    fits = msgspec.structs.replace(ANSWER, body=bytes(MAX_BODY_BYTES))
    await rows.begin(CLAIM, "one", NOW_MS, LATER_MS)
    assert await rows.finish(CLAIM, "one", fits, LATER_MS)
    assert await rows.find(CLAIM, NOW_MS) == fits
    another = msgspec.structs.replace(CLAIM, key="key-2")
    await rows.begin(another, "one", NOW_MS, LATER_MS)
    assert not await rows.finish(another, "one", msgspec.structs.replace(ANSWER, body=fits.body + b"x"), LATER_MS)
    assert await rows.find(another, NOW_MS) is None


async def test_a_living_worker_extends_what_it_has_not_finished(rows: IdempotencyRows):
    claims = [msgspec.structs.replace(CLAIM, key=name) for name in ("mine", "done", "anothers")]
    for claim, worker in zip(claims, ("one", "one", "two"), strict=True):
        await rows.begin(claim, worker, NOW_MS, LATER_MS)
    await rows.finish(claims[1], "one", ANSWER, LATER_MS)
    await rows.extend("one", 2 * LATER_MS)
    assert [await rows.find(claim, LATER_MS) for claim in claims] == [Running("one"), None, None]
    await rows.extend("one", LATER_MS)
    assert await rows.find(claims[0], LATER_MS) == Running("one"), "it is never shortened"


async def test_what_a_dead_worker_left_is_given_up_and_its_answers_stay(rows: IdempotencyRows):
    claims = [msgspec.structs.replace(CLAIM, key=name) for name in ("left", "left too", "done", "anothers")]
    for claim, worker in zip(claims, ("dead", "dead", "dead", "alive"), strict=True):
        await rows.begin(claim, worker, NOW_MS, LATER_MS)
    await rows.finish(claims[2], "dead", ANSWER, LATER_MS)
    assert await rows.forget_worker("dead") == 2
    assert [await rows.find(claim, NOW_MS) for claim in claims] == [None, None, ANSWER, Running("alive")]


async def test_what_has_expired_is_purged_a_bounded_number_at_a_time(rows: IdempotencyRows, database: Database):
    numbers = count()
    insert = (
        "INSERT INTO idempotency (account_id, endpoint, idempotency_key, fingerprint, worker_id, created_ms, "
        "expires_ms) VALUES ($1, $2, $3, $4, $5, $6, $7)"
    )
    for expires_ms, many in ((NOW_MS, PURGED_AT_ONCE + 5), (NOW_MS + 1, 3)):
        batch = [("acme", "/e", f"k{next(numbers)}", bytes(32), "one", 0, expires_ms) for _ in range(many)]
        await database.write([(insert, batch)])
    assert [await rows.purge(NOW_MS) for _ in range(3)] == [PURGED_AT_ONCE, 5, 0]
    [(left,)] = await database.fetch("SELECT COUNT(*) FROM idempotency")
    assert left == 3
