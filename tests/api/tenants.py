"""Two accounts on one gateway, each with keys of every role: whatever one does must tell nothing about the other."""

import asyncio
import hashlib
import time
from dataclasses import dataclass
from itertools import count

import httpx
import msgspec

from cache_rows import stored
from live_gateway import LiveGateway
from neuralrouting.accounts.keys import create_key
from neuralrouting.exchange import Role
from neuralrouting.storage.accounts import AccountRows
from neuralrouting.storage.books import Books
from neuralrouting.storage.database import Database, Row
from neuralrouting.storage.entries import INSERT_ENTRY, entry_values
from neuralrouting.storage.keys import KeyOptions, KeyRows
from neuralrouting.storage.requests import RequestRow
from neuralrouting.storage.shadow_audits import ShadowAudit, ShadowAudits
from neuralrouting.storage.trail import GATEWAY
from neuralrouting.storage.turns import Settlement, Want, credits_purse
from settling import new_worker
from shadow_rows import audit_row

_numbers = count(1)


@dataclass(frozen=True)
class Tenant:
    """An account and a key for each role."""

    gateway: LiveGateway
    account: str
    member: str
    owner: str
    operator: str

    def client(self, role: Role = "owner") -> httpx.Client:
        """A client with this account's key of that role."""
        return self.gateway.client(Authorization=f"Bearer {getattr(self, role)}")

    def get(self, path: str, role: Role = "member", **params: object) -> httpx.Response:
        """Ask once with this account's key of that role."""
        with self.client(role) as client:
            return client.get(path, params={name.rstrip("_"): value for name, value in params.items()})

    def settle(self, *rows: RequestRow) -> None:
        """Have requests of this account settled, as a worker would; those that are charged are paid for first."""
        asyncio.run(self._settle([msgspec.structs.replace(row, account_id=self.account) for row in rows]))

    def stored(self, *, body: bytes = b"") -> bytes:
        """Have an answer of this account stored, as a worker would; return its key."""
        key = hashlib.sha256(f"stored {next(_numbers)}".encode()).digest()
        now_ms = int(time.time() * 1000)
        entry = stored(key, self.account, body=body, scope=bytes(32), stored_ms=now_ms, expires_ms=now_ms + 3_600_000)
        asyncio.run(self._write(entry_values(entry)))
        return key

    def audited(self, **changes: object) -> str:
        """Have a shadow audit of this account written down, as a worker would; return its id."""
        audit = audit_row(account_id=self.account, **changes)
        asyncio.run(self._note(audit))
        return audit.id

    async def _note(self, audit: ShadowAudit) -> None:
        async with self.gateway.opened() as database:
            await ShadowAudits(database).write(audit, None)

    async def _write(self, values: Row) -> None:
        async with self.gateway.opened() as database:
            await database.write([(INSERT_ENTRY, [values])])

    async def _settle(self, rows: list[RequestRow]) -> None:
        async with self.gateway.opened() as database:
            books = Books(database)
            worker = await new_worker(books, f"seed-{self.account}-{next(_numbers)}")
            due_mc = sum(row.charged_mc for row in rows)
            if due_mc:
                await books.top_up(self.account, due_mc, f"seed-{worker.id}", "tests", "to be spent")
                await worker.turn(wants=(Want(credits_purse(self.account), due_mc, due_mc),))
            await worker.turn(*(Settlement(row, metered=row.charged_mc > 0) for row in rows))
            await books.retire(worker.id)


def new_tenant(gateway: LiveGateway, name: str = "tenant") -> Tenant:
    """Make an account with three keys, behind the gateway's back."""
    account = f"{name}-{next(_numbers)}"
    return asyncio.run(_made(gateway, account))


async def _made(gateway: LiveGateway, account: str) -> Tenant:
    async with gateway.opened() as database:
        now_ms = int(time.time() * 1000)
        await AccountRows(database).ensure(account, account, now_ms, actor=GATEWAY)
        keys = [await _key(database, account, role, now_ms) for role in ("member", "owner", "operator")]
        return Tenant(gateway, account, *keys)


async def _key(database: Database, account: str, role: Role, now_ms: int) -> str:
    minted = await create_key(
        KeyRows(database), account, role, live=True, now_ms=now_ms, options=KeyOptions(role=role), actor=GATEWAY
    )
    return minted.key
