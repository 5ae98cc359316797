"""API keys: how they are made, read, looked up and taken back."""

import asyncio
import hashlib
import hmac
import logging
import secrets
import string
import time
import zlib
from collections.abc import Iterable

import msgspec

from neuralrouting.accounts.marks import Mark
from neuralrouting.background import Background
from neuralrouting.errors import AuthenticationError, Unavailable
from neuralrouting.exchange import Caller
from neuralrouting.storage.keys import KeyOptions, KeyRow, KeyRows
from neuralrouting.storage.trail import Actor

# nr_live_ + 12 characters of id + _ + 43 of secret + _ + 8 hex digits of CRC-32 over all before that last _
_ALPHABET = string.digits + string.ascii_uppercase + string.ascii_lowercase
_LIVE, _TEST = b"nr_live_", b"nr_test_"
_ID_AT = slice(8, 20)
_CRC_AT = 64
_LENGTH = 73
_SECRET_CHARS = 43
"""Base62 characters that 32 random bytes need."""

POLL_S = 0.5
"""A revoked key stops working within this, plus the time of one query; the promise is 2 s."""
GRACE_S = 60.0
"""How long known keys work while the database is down."""
MISS_S = 5.0
MISSES = 1_000
"""Unknown ids remembered, for MISS_S each. While that many are, the database is not asked about others."""
AWAY_S = 1.0
"""After a failed question the database is left alone for this long."""

NO_OPTIONS = KeyOptions()
_NO_DIGEST = bytes(32)
_log = logging.getLogger("neuralrouting.accounts")


class MintedKey(msgspec.Struct, frozen=True):
    """A new key, the only time that it is known in full: show it once, store the rest."""

    key: str
    id: str
    secret_sha256: bytes
    last4: str
    live: bool

    def __repr__(self) -> str:
        return f"MintedKey(id={self.id!r}, last4={self.last4!r}, live={self.live})"


def mint(*, live: bool) -> MintedKey:
    """Make a key from the system's random source. A test key only reaches simulated and local models."""
    key_id = "".join(secrets.choice(_ALPHABET) for _ in range(12))
    head = (_LIVE if live else _TEST).decode() + f"{key_id}_{_base62(secrets.token_bytes(32))}"
    key = f"{head}_{zlib.crc32(head.encode()):08x}"
    return MintedKey(key, key_id, hashlib.sha256(key.encode()).digest(), key[-4:], live)


def parse(key: str | bytes) -> tuple[bool, str, bytes] | None:
    """Read a key into (live, id, SHA-256 of the whole key); None when it is not one of ours.

    Says nothing about whether the key exists. The checksum comes first, so that noise costs almost nothing.
    """
    if isinstance(key, str):
        try:
            key = key.encode("ascii")
        except UnicodeEncodeError:
            return None
    if len(key) != _LENGTH or key[_CRC_AT:] != b"_%08x" % zlib.crc32(key[:_CRC_AT]):
        return None
    prefix, key_id = key[:8], key[_ID_AT]
    if prefix not in (_LIVE, _TEST) or not key_id.isalnum():
        return None
    return prefix == _LIVE, key_id.decode(), hashlib.sha256(key).digest()


async def create_key(  # noqa: PLR0913  what a key is, and who makes it when
    rows: KeyRows,
    account_id: str,
    name: str,
    *,
    live: bool,
    now_ms: int,
    actor: Actor,
    options: KeyOptions = NO_OPTIONS,
) -> MintedKey:
    """Make a key of an account and store its digest. Raises RowError where there is no such account."""
    minted = mint(live=live)
    told = msgspec.structs.asdict(options)
    row = KeyRow(minted.id, account_id, name, live, minted.secret_sha256, minted.last4, now_ms, **told)
    await rows.insert(row, actor=actor)
    return minted


class _Known(msgspec.Struct, frozen=True):
    """A key in memory; `caller` is None once it is revoked."""

    digest: bytes
    caller: Caller | None


class KeyRing:
    """Every key in memory, kept up to date: finding a caller waits for no database.

    While the database is down known keys work for `grace_s`.
    """

    def __init__(self, rows: KeyRows, *, poll_s: float = POLL_S, grace_s: float = GRACE_S) -> None:
        self._rows = rows
        self._poll_s = poll_s
        self._grace_s = grace_s
        self._known: dict[str, _Known] = {}
        self._missed: dict[str, float] = {}
        self._asking = asyncio.Lock()
        self._mark = Mark()
        self._fresh_s = 0.0
        self._away_until_s = 0.0
        self._background = Background()

    async def start(self) -> None:
        """Load all keys and begin to follow changes. Raises Unavailable when the database is away."""
        self._fresh_s = time.monotonic()
        self._learn(await self._rows.all(None))
        self._background.start(keys=self._follow())

    async def close(self) -> None:
        """Stop to follow changes."""
        await self._background.close()

    def caller(self, token: str) -> Caller:
        """Return whose key this is, from memory.

        Raises AuthenticationError for a malformed, unknown or revoked key and Unavailable when the database
        has been away for too long to tell. A key made a moment ago may be unknown here: then ask `find`.
        """
        parsed = parse(token)
        if parsed is None:
            raise _refusal(token)
        return self._admit(token, parsed[1], parsed[2])

    async def find(self, token: str) -> Caller:
        """Return whose key this is, asking the database about an id that is not in memory.

        Raises as `caller`, and Unavailable when the database is needed and away.
        """
        parsed = parse(token)
        if parsed is None:
            raise _refusal(token)
        _, key_id, digest = parsed
        if self._is_news(key_id):
            async with self._asking:
                if self._is_news(key_id):
                    await self._ask(key_id)
        return self._admit(token, key_id, digest)

    def _admit(self, token: str, key_id: str, digest: bytes) -> Caller:
        known = self._known.get(key_id)
        # An unknown id is compared too, so that it takes as long as a known one.
        same = hmac.compare_digest(digest, _NO_DIGEST if known is None else known.digest)
        if known is None or known.caller is None or not same:
            raise _refusal(token)
        if time.monotonic() - self._fresh_s > self._grace_s:
            raise _away()
        return known.caller

    def _is_news(self, key_id: str) -> bool:
        if key_id in self._known:
            return False
        now_s = time.monotonic()
        if len(self._missed) >= MISSES:
            self._missed = {missed: until_s for missed, until_s in self._missed.items() if until_s > now_s}
        return self._missed.get(key_id, 0.0) <= now_s and len(self._missed) < MISSES

    async def _ask(self, key_id: str) -> None:
        if time.monotonic() < self._away_until_s:
            raise _away()
        try:
            row = await self._rows.find(key_id)
        except Unavailable:
            self._away_until_s = time.monotonic() + AWAY_S
            raise
        if row is None:
            self._missed[key_id] = time.monotonic() + MISS_S
        else:
            self._known[row.id] = _known(row)

    def _learn(self, rows: Iterable[KeyRow]) -> None:
        for row in rows:
            self._known[row.id] = _known(row)
            self._mark.see(row.changed_ms, time.monotonic())

    async def _follow(self) -> None:
        answered = True
        while True:
            await asyncio.sleep(self._poll_s)
            asked_s = time.monotonic()
            try:
                self._learn(await self._rows.changed_since(self._mark.since_ms(asked_s)))
            except Unavailable as error:
                if answered:
                    _log.warning("known keys work for %.0f s more: %s", self._grace_s, error.message)
                answered = False
            else:
                self._fresh_s = asked_s
                if not answered:
                    _log.warning("the database answers again; keys are up to date")
                answered = True


def _known(row: KeyRow) -> _Known:
    if row.revoked_ms is not None:
        return _Known(row.secret_sha256, None)
    caller = Caller(row.account_id, row.id, row.live, **msgspec.structs.asdict(row.options))
    return _Known(row.secret_sha256, caller)


def _away() -> Unavailable:
    return Unavailable("keys cannot be checked: the database does not answer; try again", retry_after_s=2.0)


def _refusal(token: str) -> AuthenticationError:
    """Say how to send a key and where to make one; shows no more of it than its last four characters."""
    shown = f" ending in {token[-4:]}" if len(token) >= 16 and token[-4:].isalnum() and token.isascii() else ""
    return AuthenticationError(
        f"The API key{shown} is unknown or revoked. Send one as 'Authorization: Bearer nr_live_...' or "
        "'X-API-KEY: nr_live_...'; make one with `neuralrouting keys create`."
    )


def _base62(value: bytes) -> str:
    number, digits = int.from_bytes(value), ""
    while number:
        number, digit = divmod(number, 62)
        digits = _ALPHABET[digit] + digits
    return digits.rjust(_SECRET_CHARS, _ALPHABET[0])
