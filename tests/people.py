"""Users, sessions and their clocks for tests: whoever needs somebody who may sign in."""

import hashlib
from itertools import count

from neuralrouting.exchange import UserRole
from neuralrouting.storage.accounts import AccountRows
from neuralrouting.storage.database import Database
from neuralrouting.storage.sign_in import SessionRow
from neuralrouting.storage.trail import GATEWAY
from neuralrouting.storage.users import NewUser, UserRow, UserRows

_numbers = count(1)
IDLE_MS = 1_000_000
DAY_MS = 86_400_000


async def new_user(
    database: Database, role: UserRole = "owner", account_id: str = "acme", password_hash: str | None = None
) -> UserRow:
    await AccountRows(database).ensure(account_id, account_id, 1, actor=GATEWAY)
    new = NewUser(account_id, f"person{next(_numbers)}@example.com", role, password_hash)
    return await UserRows(database).add(new, 1_000, actor=GATEWAY)


def session(user_id: str, now_ms: int = 1_000, *, lasts_ms: int = DAY_MS) -> SessionRow:
    digest = hashlib.sha256(str(next(_numbers)).encode()).digest()
    return SessionRow(digest, user_id, now_ms, now_ms, now_ms + lasts_ms, "192.0.2.1", "a browser")
