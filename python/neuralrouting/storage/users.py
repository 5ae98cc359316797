"""Rows of users: whoever may look at the dashboard of an account. Hashes of passwords leave by one method only."""

import re
import secrets
from collections.abc import Sequence
from typing import Final

import msgspec

from neuralrouting.errors import AlreadyExists, InvalidField
from neuralrouting.exchange import UserRole
from neuralrouting.storage.database import Database, Row, Script, ask
from neuralrouting.storage.dialect import lock_of, locking
from neuralrouting.storage.trail import Actor, Change, record

_EMAIL: Final = re.compile(r"[^\s@]{1,64}@[^\s@]{1,189}")
"""RFC 5321, 4.5.3.1: 64 characters before the `@`, 254 in all. Whether it exists, only a mail can tell."""


class UserRow(msgspec.Struct, frozen=True):
    """One user; times are Unix milliseconds. `subject`: who an identity provider says it is, issuer and subject."""

    id: str
    account_id: str
    email: str
    role: UserRole
    subject: str | None
    created_ms: int
    disabled_ms: int | None
    last_seen_ms: int | None
    has_password: bool


_COLUMNS = ", ".join(UserRow.__struct_fields__[:-1]) + ", password_hash IS NOT NULL"
_SELECT = f"SELECT {_COLUMNS} FROM users"  # noqa: S608  names of our own columns
_SELECT_WITH_HASH = f"SELECT {_COLUMNS}, password_hash FROM users"  # noqa: S608
_INSERT = (
    "INSERT INTO users (id, account_id, email, role, password_hash, subject, created_ms) "
    "VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT DO NOTHING RETURNING id"
)
_OWNERS = "SELECT id FROM users WHERE account_id = $1 AND role = 'owner' AND disabled_ms IS NULL"
_END_SESSIONS = "DELETE FROM user_sessions WHERE user_id = $1 RETURNING digest"
_END_LINKS = "DELETE FROM sign_in_links WHERE user_id = $1"


class NewUser(msgspec.Struct, frozen=True):
    """A user to be made; the e-mail address is one that `email_of` gave."""

    account_id: str
    email: str
    role: UserRole
    password_hash: str | None = None
    subject: str | None = None

    def __repr__(self) -> str:
        return f"NewUser(account_id={self.account_id!r}, email={self.email!r}, role={self.role!r})"


class UserRows:
    """Reads and writes users."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def add(self, new: NewUser, now_ms: int, *, actor: Actor) -> UserRow:
        """Make a user. Raises AlreadyExists where there is one of that address, RowError without its account."""

        def script() -> Script[UserRow]:
            user = yield from insert_user(new, now_ms)
            yield from record(self._database.dialect, creation(user, actor))
            return user

        return await self._database.transact(script)

    async def any(self) -> bool:
        """Say whether there is any user at all."""
        return bool(await self._database.fetch("SELECT 1 FROM users LIMIT 1"))

    async def all(self, account_id: str | None) -> list[UserRow]:
        """Return the users of one account, or of all with None, oldest first."""
        if account_id is None:
            rows = await self._database.fetch(f"{_SELECT} ORDER BY created_ms, id")
        else:
            rows = await self._database.fetch(f"{_SELECT} WHERE account_id = $1 ORDER BY created_ms, id", account_id)
        return [user_of(row) for row in rows]

    async def find(self, user_id: str) -> UserRow | None:
        """Return the user with this id."""
        rows = await self._database.fetch(f"{_SELECT} WHERE id = $1", user_id)
        return user_of(rows[0]) if rows else None

    async def of_email(self, email: str) -> UserRow | None:
        """Return the user with this address, in lower case."""
        rows = await self._database.fetch(f"{_SELECT} WHERE email = $1", email)
        return user_of(rows[0]) if rows else None

    async def of_subject(self, subject: str) -> UserRow | None:
        """Return the user whom an identity provider knows as this."""
        rows = await self._database.fetch(f"{_SELECT} WHERE subject = $1", subject)
        return user_of(rows[0]) if rows else None

    async def with_hash(self, email: str) -> tuple[UserRow, str | None] | None:
        """Return the user with this address and the hash of its password, None where none is set."""
        rows = await self._database.fetch(f"{_SELECT_WITH_HASH} WHERE email = $1", email)
        return (user_of(rows[0][:-1]), rows[0][-1]) if rows else None

    async def set_password(self, user_id: str, password_hash: str, *, actor: Actor) -> bool:
        """Give a password; ends every session and link of the user. False without such a user, or a disabled one."""

        def script() -> Script[bool]:
            sql = "UPDATE users SET password_hash = $2 WHERE id = $1 AND disabled_ms IS NULL RETURNING account_id"
            changed = yield ask(sql, user_id, password_hash)
            if not changed:
                return False
            yield from end_all(user_id)
            yield from record(self._database.dialect, new_password(changed[0][0], user_id, actor))
            return True

        return await self._database.transact(script)

    async def rehash(self, user_id: str, old: str, new: str) -> None:
        """Replace the hash of the same password by a stronger one, unless the password was changed meanwhile."""
        sql = "UPDATE users SET password_hash = $3 WHERE id = $1 AND password_hash = $2"
        await self._database.execute(sql, user_id, old, new)

    async def set_subject(self, user_id: str, subject: str) -> bool:
        """Note who an identity provider says that a user is; False where another is noted."""
        sql = "UPDATE users SET subject = $2 WHERE id = $1 AND (subject IS NULL OR subject = $2)"
        return await self._database.execute(sql, user_id, subject) == 1

    async def set_role(self, user_id: str, role: UserRole, *, actor: Actor, keep_owner: bool = True) -> UserRow | None:
        """Give a user another role and end its sessions; the same role changes nothing. None without such a user.

        `keep_owner`: raises AlreadyExists where the account would be left without an owner.
        """

        def script() -> Script[UserRow | None]:
            user = yield from self._held(user_id)
            if user is None or user.role == role:
                return user
            if keep_owner and user.role == "owner":
                yield from self._another_owner(user)
            yield ask("UPDATE users SET role = $2 WHERE id = $1", user_id, role)
            yield ask(_END_SESSIONS, user_id)
            told = Change(user.account_id, actor, "user.role", user_id, {"role": user.role}, {"role": role})
            yield from record(self._database.dialect, told)
            return msgspec.structs.replace(user, role=role)

        return await self._database.transact(script)

    async def set_disabled(
        self, user_id: str, now_ms: int | None, *, actor: Actor, keep_owner: bool = True
    ) -> UserRow | None:
        """Disable a user and end its sessions and links, or, with None, let it in again. None without such a user.

        `keep_owner`: raises AlreadyExists where the account would be left without an owner.
        """

        def script() -> Script[UserRow | None]:
            user = yield from self._held(user_id)
            if user is None or (user.disabled_ms is None) == (now_ms is None):
                return user
            if now_ms is not None and keep_owner and user.role == "owner":
                yield from self._another_owner(user)
            yield ask("UPDATE users SET disabled_ms = $2 WHERE id = $1", user_id, now_ms)
            yield from end_all(user_id)
            before, after = {"disabled": user.disabled_ms is not None}, {"disabled": now_ms is not None}
            action = "user.disable" if now_ms is not None else "user.enable"
            yield from record(self._database.dialect, Change(user.account_id, actor, action, user_id, before, after))
            return msgspec.structs.replace(user, disabled_ms=now_ms)

        return await self._database.transact(script)

    def _held(self, user_id: str) -> Script[UserRow | None]:
        rows = yield ask(f"{_SELECT} WHERE id = $1 {lock_of(self._database.dialect)}", user_id)
        return user_of(rows[0]) if rows else None

    def _another_owner(self, user: UserRow) -> Script[None]:
        """Raise AlreadyExists unless the account has another owner, and keep all of them until the transaction ends."""
        rows = yield ask(f"{_OWNERS} {locking(self._database.dialect, 'id')}", user.account_id)
        if user.disabled_ms is None and all(row[0] == user.id for row in rows):
            raise AlreadyExists(
                f"{user.email} is the last owner of this account; make somebody else an owner first", code="last_owner"
            )


def insert_user(new: NewUser, now_ms: int) -> Script[UserRow]:
    """Make a user. Raises AlreadyExists where there is one of that address or subject."""
    user_id = f"user_{secrets.token_hex(8)}"
    values = (user_id, new.account_id, new.email, new.role, new.password_hash, new.subject, now_ms)
    if not (yield ask(_INSERT, *values)):
        raise AlreadyExists(f"{new.email} cannot be added: there is a user with this address", param="email")
    [row] = yield ask(f"{_SELECT} WHERE id = $1", user_id)
    return user_of(row)


def creation(user: UserRow, actor: Actor) -> Change:
    """Return what the trail keeps of a new user."""
    return Change(user.account_id, actor, "user.create", user.id, None, {"email": user.email, "role": user.role})


def new_password(account_id: str, user_id: str, actor: Actor) -> Change:
    """Return what the trail keeps of a new password: that there is one."""
    return Change(account_id, actor, "user.password", user_id, {"password": "before"}, {"password": "changed"})


def end_all(user_id: str) -> Script[None]:
    """End every session and link of a user."""
    yield ask(_END_SESSIONS, user_id)
    yield ask(_END_LINKS, user_id)


def email_of(text: str) -> str:
    """Return an e-mail address as it is kept, in lower case. Raises InvalidField where it cannot be one."""
    email = text.strip().lower()
    if not _EMAIL.fullmatch(email) or not email.isprintable():
        raise InvalidField("an e-mail address looks like name@example.com", param="email")
    return email


def user_of(row: Sequence[object] | Row) -> UserRow:
    """Turn the columns of a user into its row."""
    # Not strict: the databases keep a flag as 0 or 1.
    return msgspec.convert(dict(zip(UserRow.__struct_fields__, row, strict=True)), UserRow, strict=False)
