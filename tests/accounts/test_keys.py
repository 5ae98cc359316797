"""API keys: made unguessable, read cheaply, kept as digests only, revoked everywhere within two seconds."""

import asyncio
import hashlib
import re
import time
import zlib
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import TypeVar

import anyio
import pytest
from hypothesis import given
from hypothesis import strategies as st

from neuralrouting.accounts import keys
from neuralrouting.accounts.keys import KeyRing, MintedKey, create_key, mint, parse
from neuralrouting.errors import AuthenticationError, Unavailable
from neuralrouting.exchange import Caller
from neuralrouting.storage.accounts import AccountRows
from neuralrouting.storage.database import Database, Row, RowError, Script, open_database
from neuralrouting.storage.keys import KeyOptions, KeyRow, KeyRows
from neuralrouting.storage.trail import GATEWAY
from postgres_server import PostgresServer

_Result = TypeVar("_Result")
SHAPE = re.compile(r"nr_(live|test)_[0-9A-Za-z]{12}_[0-9A-Za-z]{43}_[0-9a-f]{8}")


class CountedDatabase:
    """A real database that counts queries and can be away."""

    def __init__(self, database: Database) -> None:
        self.dialect = database.dialect
        self.queries = 0
        self.away = False
        self._database = database

    async def execute(self, sql: str, *args: object) -> int:
        return await self._database.execute(sql, *args)

    async def fetch(self, sql: str, *args: object) -> list[Row]:
        self.queries += 1
        if self.away:
            raise Unavailable("away")
        return await self._database.fetch(sql, *args)

    async def transact(self, script: Callable[[], Script[_Result]]) -> _Result:
        return await self._database.transact(script)

    async def write(self, batches: object) -> None:
        raise NotImplementedError

    async def close(self) -> None:
        await self._database.close()


@pytest.fixture
async def counted(database: Database) -> CountedDatabase:
    for account_id in ("acme", "other"):
        await AccountRows(database).ensure(account_id, account_id, 1, actor=GATEWAY)
    return CountedDatabase(database)


@pytest.fixture
def rows(counted: CountedDatabase) -> KeyRows:
    return KeyRows(counted)


@pytest.fixture
async def ring(rows: KeyRows) -> AsyncIterator[KeyRing]:
    """A key ring that knows one key, which no test has to see."""
    await _create(rows)
    opened = KeyRing(rows)
    await opened.start()
    yield opened
    await opened.close()


async def _create(
    rows: KeyRows, account_id: str = "acme", *, live: bool = True, options: KeyOptions = keys.NO_OPTIONS
) -> MintedKey:
    return await create_key(
        rows, account_id, "laptop", live=live, now_ms=int(time.time() * 1000), options=options, actor=GATEWAY
    )


def _with_checksum(head: str) -> str:
    return f"{head}_{zlib.crc32(head.encode()):08x}"


@pytest.mark.parametrize("live", [True, False])
def test_a_key_has_its_shape_and_reads_back(*, live: bool):
    minted = mint(live=live)
    assert SHAPE.fullmatch(minted.key)
    assert minted.key.startswith("nr_live_" if live else "nr_test_")
    assert minted.last4 == minted.key[-4:]
    assert minted.secret_sha256 == hashlib.sha256(minted.key.encode()).digest()
    assert parse(minted.key) == parse(minted.key.encode()) == (live, minted.id, minted.secret_sha256)


def test_no_two_keys_are_alike():
    made = [mint(live=True) for _ in range(500)]
    assert len({key.key for key in made}) == len({key.id for key in made}) == 500
    secrets = "".join(key.key[21:64] for key in made)
    assert len(set(secrets)) == 62


def test_a_minted_key_does_not_show_itself():
    minted = mint(live=True)
    for shown in (repr(minted), str(minted), f"{minted}", f"{[minted]}"):
        assert minted.key[21:64] not in shown
        assert minted.id in shown


@given(place=st.integers(0, 72), put=st.characters(codec="ascii"))
def test_one_wrong_character_is_noticed(place: int, put: str):
    key = mint(live=True).key
    changed = key[:place] + put + key[place + 1 :]
    assert (parse(changed) is None) == (changed != key)


@given(st.text() | st.binary() | st.from_regex(SHAPE))
def test_noise_is_no_key(noise: str | bytes):
    assert parse(noise) is None


@pytest.mark.parametrize(
    "head",
    [
        "sk_live_AbCdEfGhIjKl_" + "x" * 43,
        "nr_live_' OR 1=1 --x_" + "x" * 43,
        "nr_live_AbCdEf\0hIjKl_" + "x" * 43,
        "nr_live_AbCdEfGhIjKlM_" + "x" * 43,
    ],
)
def test_a_right_checksum_alone_makes_no_key(head: str):
    assert parse(_with_checksum(head)) is None


@pytest.mark.anyio
async def test_a_key_leads_to_its_caller(rows: KeyRows):
    live, test = await _create(rows), await _create(rows, "other", live=False)
    ring = KeyRing(rows)
    await ring.start()
    assert ring.caller(live.key) == Caller("acme", live.id, live=True)
    assert ring.caller(test.key) == await ring.find(test.key) == Caller("other", test.id, live=False)
    await ring.close()


@pytest.mark.anyio
@pytest.mark.parametrize("token", ["", "x", "sk-proj-0123456789abcdefXYZ9", "é" * 40, "a" * 5_000])
async def test_noise_is_refused_without_a_query(ring: KeyRing, counted: CountedDatabase, token: str):
    before = counted.queries
    for ask in (lambda: asyncio.sleep(0, ring.caller(token)), lambda: ring.find(token)):
        with pytest.raises(AuthenticationError, match=r"Authorization: Bearer.*neuralrouting keys create") as refused:
            await ask()
        assert refused.value.status == 401
        assert not any(token[at : at + 5] in refused.value.message for at in range(len(token) - 4))
    assert counted.queries - before <= 1  # the one may be the ring's own


@pytest.mark.anyio
async def test_a_key_with_the_right_id_and_another_secret_is_refused(ring: KeyRing, rows: KeyRows):
    minted = await _create(rows)
    await ring.find(minted.key)
    forged = _with_checksum(minted.key[:21] + "0" * 43)
    assert parse(forged) is not None
    for _ in range(2):
        with pytest.raises(AuthenticationError) as refused:
            ring.caller(forged)
        assert forged[-5:] not in refused.value.message
        assert f"ending in {forged[-4:]}" in refused.value.message
        with pytest.raises(AuthenticationError):
            await ring.find(forged)


@pytest.mark.anyio
async def test_a_live_key_cannot_be_made_of_a_test_key(ring: KeyRing, rows: KeyRows):
    minted = await _create(rows, live=False)
    await ring.find(minted.key)
    with pytest.raises(AuthenticationError):
        ring.caller(_with_checksum("nr_live_" + minted.key[8:64]))


@pytest.mark.anyio
async def test_the_stored_digest_opens_nothing(ring: KeyRing, rows: KeyRows):
    minted = await _create(rows)
    for token in (minted.secret_sha256.hex(), minted.secret_sha256.decode("latin-1")):
        with pytest.raises(AuthenticationError):
            await ring.find(token)


@pytest.mark.anyio
async def test_a_key_made_a_moment_ago_works_at_once(ring: KeyRing, rows: KeyRows, counted: CountedDatabase):
    minted = await _create(rows)
    with pytest.raises(AuthenticationError):
        ring.caller(minted.key)
    before = counted.queries
    callers = await asyncio.gather(*(ring.find(minted.key) for _ in range(20)))
    assert callers == [Caller("acme", minted.id, live=True)] * 20
    assert counted.queries - before <= 2  # one question, and perhaps the ring's own
    assert ring.caller(minted.key) == callers[0]


@pytest.mark.anyio
async def test_an_unknown_id_is_asked_for_once(ring: KeyRing, counted: CountedDatabase):
    stranger = mint(live=True).key
    before = counted.queries
    for _ in range(50):
        with pytest.raises(AuthenticationError):
            await ring.find(stranger)
    assert counted.queries - before <= 2


@pytest.mark.anyio
async def test_a_flood_of_unknown_ids_does_not_flood_the_database(ring: KeyRing, counted: CountedDatabase):
    before = counted.queries
    for _ in range(keys.MISSES + 500):
        with pytest.raises(AuthenticationError):
            await ring.find(mint(live=True).key)
    assert counted.queries - before <= keys.MISSES + 40  # the rest is the ring's own, twice a second


@pytest.mark.anyio
async def test_a_revocation_reaches_another_worker_within_two_seconds(
    rows: KeyRows, database_place: tuple[str | None, Path]
):
    minted, kept = await _create(rows), await _create(rows)
    elsewhere = await open_database(*database_place)
    ring = KeyRing(KeyRows(elsewhere))
    await ring.start()
    assert ring.caller(minted.key)
    assert await rows.revoke(minted.id, int(time.time() * 1000), actor=GATEWAY)
    with anyio.fail_after(2):
        while True:
            try:
                ring.caller(minted.key)
            except AuthenticationError:
                break
            await asyncio.sleep(0.02)
    with pytest.raises(AuthenticationError):
        await ring.find(minted.key)
    assert ring.caller(kept.key)
    await ring.close()
    await elsewhere.close()


@pytest.mark.anyio
async def test_changed_options_reach_another_worker_within_two_seconds(
    rows: KeyRows, database_place: tuple[str | None, Path]
):
    minted = await _create(rows, options=KeyOptions(parallel=9))
    elsewhere = await open_database(*database_place)
    ring = KeyRing(KeyRows(elsewhere))
    await ring.start()
    assert ring.caller(minted.key) == Caller("acme", minted.id, live=True, parallel=9)
    wanted = KeyOptions("off", "owner", "search", 10, 2_000, 3)
    assert await rows.change(minted.id, lambda _: wanted, int(time.time() * 1000), actor=GATEWAY)
    changed = Caller("acme", minted.id, True, "off", "owner", "search", 10, 2_000, 3)  # noqa: FBT003
    with anyio.fail_after(2):
        while True:
            if ring.caller(minted.key) == changed:
                break
            await asyncio.sleep(0.02)
    await ring.close()
    await elsewhere.close()


@pytest.mark.anyio
async def test_a_key_of_an_account_that_is_not_there_is_not_made(rows: KeyRows):
    with pytest.raises(RowError):
        await _create(rows, "nobody")
    assert await rows.all("nobody") == []


@pytest.mark.anyio
async def test_a_new_key_reaches_a_worker_that_is_not_asked(ring: KeyRing, rows: KeyRows):
    minted = await _create(rows)
    with anyio.fail_after(2):
        while True:
            try:
                assert ring.caller(minted.key)
                break
            except AuthenticationError:
                await asyncio.sleep(0.02)


@pytest.mark.anyio
async def test_known_keys_outlive_the_database_for_a_while_only(rows: KeyRows, counted: CountedDatabase):
    minted = await _create(rows)
    ring = KeyRing(rows, poll_s=0.02, grace_s=0.3)
    await ring.start()
    counted.away = True
    await asyncio.sleep(0.1)
    assert ring.caller(minted.key)
    with pytest.raises(Unavailable):
        await ring.find(mint(live=True).key)
    await asyncio.sleep(0.35)
    with pytest.raises(Unavailable, match="database does not answer"):
        ring.caller(minted.key)
    counted.away = False
    with anyio.fail_after(5):
        while True:
            try:
                assert ring.caller(minted.key)
                break
            except Unavailable:
                await asyncio.sleep(0.01)
    await ring.close()


@pytest.mark.anyio
async def test_a_database_that_is_away_is_asked_about_new_ids_once_a_second(ring: KeyRing, counted: CountedDatabase):
    counted.away = True
    before = counted.queries
    outcomes = await asyncio.gather(*(ring.find(mint(live=True).key) for _ in range(50)), return_exceptions=True)
    assert {type(outcome) for outcome in outcomes} == {Unavailable}
    assert counted.queries - before <= 2


@pytest.mark.anyio
async def test_a_dump_of_the_database_holds_no_piece_of_a_key(
    rows: KeyRows, database: Database, database_place: tuple[str | None, Path], request: pytest.FixtureRequest
):
    minted = [await _create(rows) for _ in range(5)]
    await rows.revoke(minted[0].id, 1, actor=GATEWAY)
    dump = await asyncio.to_thread(_dump, request, database_place)
    assert minted[0].id in dump
    for key in minted:
        secret = key.key[21:]
        assert not [secret[at : at + 8] for at in range(len(secret) - 7) if secret[at : at + 8] in dump]


def _dump(request: pytest.FixtureRequest, place: tuple[str | None, Path]) -> str:
    """Return all bytes that the database has written down, as text."""
    url, folder = place
    if url is None:
        return "".join(path.read_bytes().decode("latin-1") for path in folder.iterdir())
    server: PostgresServer = request.getfixturevalue("postgres_server")
    return server.dump()


@pytest.mark.anyio
async def test_a_made_key_is_stored_as_its_digest(rows: KeyRows):
    minted = await create_key(rows, "acme", "laptop", live=False, now_ms=77, actor=GATEWAY)
    expected = KeyRow(minted.id, "acme", "laptop", False, minted.secret_sha256, minted.last4, 77, None, 77)  # noqa: FBT003
    assert await rows.find(minted.id) == expected
