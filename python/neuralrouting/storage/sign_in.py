"""Rows of sessions and of links that let somebody in once. What a browser holds is never here, only its SHA-256."""

from typing import Final, Literal

import msgspec

from neuralrouting.errors import NotFound, PermissionDenied
from neuralrouting.exchange import UserRole
from neuralrouting.storage.database import Database, Row, Script, ask
from neuralrouting.storage.dialect import lock_of
from neuralrouting.storage.trail import Actor, Change, record
from neuralrouting.storage.users import NewUser, UserRow, creation, end_all, insert_user, new_password, user_of

SESSIONS_A_USER: Final = 50
"""One more ends the oldest: rows of one person stay few."""
SEEN_EVERY_MS: Final = 60_000
"""A session that is used is written down at most this often."""
AGENT_CHARS: Final = 120

Purpose = Literal["first", "enter"]


class SessionRow(msgspec.Struct, frozen=True):
    """One session, in the order of its columns. `digest` is SHA-256 of the cookie's value."""

    digest: bytes
    user_id: str
    created_ms: int
    seen_ms: int
    expires_ms: int
    address: str
    agent: str

    @property
    def id(self) -> str:
        """What it is called where people read: the digest in hexadecimal, from which nobody finds the cookie."""
        return self.digest.hex()


class SignedIn(msgspec.Struct, frozen=True):
    """A session with whose it is."""

    session: SessionRow
    email: str
    account_id: str
    role: UserRole


class Link(msgspec.Struct, frozen=True):
    """A link that still lets in. `user` None: it makes the first user of all, an owner of `account_id`."""

    account_id: str
    user: UserRow | None

    @property
    def needs_password(self) -> bool:
        """Say whether a password must be chosen to come in."""
        return self.user is None or not (self.user.has_password or self.user.subject is not None)


_COLUMNS = ", ".join(SessionRow.__struct_fields__)
_INSERT = f"INSERT INTO user_sessions ({_COLUMNS}) VALUES ($1, $2, $3, $4, $5, $6, $7)"  # noqa: S608  our own columns
_FIND = (
    f"SELECT {', '.join(f's.{name}' for name in SessionRow.__struct_fields__)}, u.email, u.account_id, u.role "  # noqa: S608
    "FROM user_sessions s JOIN users u ON u.id = s.user_id WHERE s.digest = $1 AND u.disabled_ms IS NULL"
)
_OF_USER = f"SELECT {_COLUMNS} FROM user_sessions WHERE user_id = $1 ORDER BY created_ms DESC, digest"  # noqa: S608
_SEEN = "UPDATE user_sessions SET seen_ms = $2 WHERE digest = $1 AND seen_ms <= $3 RETURNING user_id"
_SWEEP = "DELETE FROM user_sessions WHERE expires_ms <= $1 OR (user_id = $2 AND seen_ms <= $3)"
_CROWD = f"""
DELETE FROM user_sessions WHERE user_id = $1 AND digest NOT IN (
    SELECT digest FROM user_sessions WHERE user_id = $1 ORDER BY created_ms DESC, digest LIMIT {SESSIONS_A_USER - 1}
)
"""  # noqa: S608  a number of our own
_USER_COLUMNS = ", ".join(f"u.{name}" for name in UserRow.__struct_fields__[:-1]) + ", u.password_hash IS NOT NULL"
_LINK = f"""
SELECT l.account_id, l.purpose, {_USER_COLUMNS} FROM sign_in_links l LEFT JOIN users u ON u.id = l.user_id
WHERE l.digest = $1 AND l.used_ms IS NULL AND l.expires_ms > $2 AND u.disabled_ms IS NULL
"""  # noqa: S608
_ADD_LINK = "INSERT INTO sign_in_links (digest, account_id, user_id, purpose, expires_ms) VALUES ($1, $2, $3, $4, $5)"
_USE_LINK = (
    "UPDATE sign_in_links SET used_ms = $2 WHERE digest = $1 AND used_ms IS NULL AND expires_ms > $2 RETURNING 1"
)
_ANYBODY = "SELECT 1 FROM users LIMIT 1"
_HOLD_ACCOUNT = "SELECT id FROM accounts WHERE id = (SELECT account_id FROM sign_in_links WHERE digest = $1)"
GONE = "this link was used before, is too old, or never was; `neuralrouting users link EMAIL` makes another"


class SignInRows:
    """Reads and writes sessions and links. Times are Unix milliseconds."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def open(self, session: SessionRow, idle_ms: int, *, proof: str | None = None) -> bool:
        """Write a new session down, and sweep what has ended. False where the user is disabled or gone.

        `proof` is the hash that the password was compared with: False where it was changed meanwhile.
        """

        def script() -> Script[bool]:
            sql = f"SELECT password_hash FROM users WHERE id = $1 AND disabled_ms IS NULL {self._lock}"  # noqa: S608
            held = yield ask(sql, session.user_id)
            if not held or (proof is not None and held[0][0] != proof):
                return False
            yield from _opened(session, idle_ms)
            return True

        return await self._database.transact(script)

    async def find(self, digest: bytes) -> SignedIn | None:
        """Return a session whose user may come in. Whether it has run out, the caller tells from its times."""
        rows = await self._database.fetch(_FIND, digest)
        if not rows:
            return None
        *session, email, account_id, role = rows[0]
        return msgspec.convert(
            {"session": dict(zip(SessionRow.__struct_fields__, session, strict=True)), "email": email,
             "account_id": account_id, "role": role},
            SignedIn,
        )  # fmt: skip

    async def seen(self, digest: bytes, now_ms: int) -> None:
        """Note that a session is used, unless that was noted within `SEEN_EVERY_MS`."""

        def script() -> Script[None]:
            for (user_id,) in (yield ask(_SEEN, digest, now_ms, now_ms - SEEN_EVERY_MS)):
                yield ask("UPDATE users SET last_seen_ms = $2 WHERE id = $1", user_id, now_ms)

        await self._database.transact(script)

    async def of_user(self, user_id: str) -> list[SessionRow]:
        """Return a user's sessions, the latest first; some may have run out."""
        return [SessionRow(*row) for row in await self._database.fetch(_OF_USER, user_id)]

    async def end(self, digest: bytes, user_id: str | None = None) -> bool:
        """End one session, with `user_id` only if it is that user's; False where there is none such."""
        if user_id is None:
            return await self._database.execute("DELETE FROM user_sessions WHERE digest = $1", digest) == 1
        sql = "DELETE FROM user_sessions WHERE digest = $1 AND user_id = $2"
        return await self._database.execute(sql, digest, user_id) == 1

    async def end_all(self, user_id: str) -> int:
        """End every session of a user; return how many."""
        return await self._database.execute("DELETE FROM user_sessions WHERE user_id = $1", user_id)

    async def add_link(
        self, digest: bytes, account_id: str, user_id: str | None, now_ms: int, expires_ms: int, *, actor: Actor
    ) -> None:
        """Write a new link down; one of a user is in the trail. It takes the place of the user's earlier ones.

        What has run out is swept.
        """
        purpose: Purpose = "first" if user_id is None else "enter"

        def script() -> Script[None]:
            yield ask("DELETE FROM sign_in_links WHERE expires_ms <= $1", now_ms)
            if user_id is not None:
                yield ask("DELETE FROM sign_in_links WHERE user_id = $1", user_id)
            yield ask(_ADD_LINK, digest, account_id, user_id, purpose, expires_ms)
            if user_id is not None:
                told = Change(account_id, actor, "user.link", user_id, None, {"expires_ms": expires_ms})
                yield from record(self._database.dialect, told)

        await self._database.transact(script)

    async def link(self, digest: bytes, now_ms: int) -> Link | None:
        """Return a link that lets in, without using it up; None for any other."""
        rows = await self._database.fetch(_LINK, digest, now_ms)
        return _link_of(rows, await self._database.fetch(_ANYBODY)) if rows else None

    async def use_link(
        self, digest: bytes, email: str | None, password_hash: str | None, session: SessionRow, idle_ms: int
    ) -> UserRow:
        """Use a link up and open a session, all or nothing: makes the first user, or gives a user a password.

        The session's `user_id` is filled in; its `created_ms` is now. `email` is for the first user only. A new
        password ends every other session. Raises NotFound for a link that lets nobody in, PermissionDenied where a
        password is needed and none given, AlreadyExists as `UserRows.add`.
        """
        now_ms = session.created_ms

        def script() -> Script[UserRow]:
            user = yield from self._used(digest, email, password_hash, now_ms)
            yield from _opened(msgspec.structs.replace(session, user_id=user.id), idle_ms)
            if email is not None:
                yield from record(self._database.dialect, creation(user, Actor(user.id)))
            elif password_hash is not None:
                told = new_password(user.account_id, user.id, Actor(user.id))
                yield from record(self._database.dialect, told)
            return user

        return await self._database.transact(script)

    def _used(self, digest: bytes, email: str | None, password_hash: str | None, now_ms: int) -> Script[UserRow]:
        # Two links for the first user that are used at once: whoever comes second waits here, then finds a user.
        yield ask(f"{_HOLD_ACCOUNT} {self._lock}", digest)
        link = yield from _link(digest, now_ms)
        if link is None or not (yield ask(_USE_LINK, digest, now_ms)):
            raise NotFound(GONE)
        if password_hash is None and link.needs_password:
            raise PermissionDenied("choose a password first")
        if link.user is None:
            return (yield from insert_user(NewUser(link.account_id, email or "", "owner", password_hash), now_ms))
        if password_hash is not None:
            yield ask("UPDATE users SET password_hash = $2 WHERE id = $1", link.user.id, password_hash)
            yield from end_all(link.user.id)
        return link.user

    @property
    def _lock(self) -> str:
        return lock_of(self._database.dialect)


def _link(digest: bytes, now_ms: int) -> Script[Link | None]:
    rows = yield ask(_LINK, digest, now_ms)
    return _link_of(rows, (yield ask(_ANYBODY))) if rows else None


def _link_of(rows: list[Row], anybody: list[Row]) -> Link | None:
    account_id, purpose, *user = rows[0]
    if purpose == "enter":
        return Link(account_id, user_of(user))
    return None if anybody else Link(account_id, None)  # somebody else came first


def _opened(session: SessionRow, idle_ms: int) -> Script[None]:
    now_ms = session.created_ms
    yield ask(_SWEEP, now_ms, session.user_id, now_ms - idle_ms)
    yield ask(_CROWD, session.user_id)
    yield ask(_INSERT, *msgspec.structs.astuple(session))
    yield ask("UPDATE users SET last_seen_ms = $2 WHERE id = $1", session.user_id, now_ms)
