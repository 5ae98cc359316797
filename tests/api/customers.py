"""Customers of a gateway with a scripted provider: each an account of its own, with credits, keys and bills."""

import asyncio
import itertools
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

import httpx
import msgspec
from conversation import CHAT, ask, row_of
from staging import Stage

from fake_replies import Answer, data, sse
from fake_upstream import Entry, FakeUpstream, Recorded, Reply, http_reply
from live_gateway import LiveGateway, running_gateway
from neuralrouting.accounts.keys import create_key
from neuralrouting.exchange import Budget, Plan
from neuralrouting.storage.accounts import AccountRows
from neuralrouting.storage.books import Balance, Books
from neuralrouting.storage.budgets import BudgetRows
from neuralrouting.storage.keys import KeyRows
from neuralrouting.storage.ledger import Entry as LedgerEntry
from neuralrouting.storage.plans import PlanRows
from neuralrouting.storage.requests import RequestRow
from neuralrouting.storage.trail import GATEWAY
from neuralrouting.storage.verify import verify

CONFIG = """
local: {{enabled: "off"}}
upstream: {{idle_timeout_s: 5}}
providers:
  openai: {{base_url: "{url}/openai"}}
  anthropic: {{base_url: "{url}/anthropic"}}
  one: {{base_url: "{url}/one"}}
  two: {{base_url: "{url}/two"}}
  three: {{base_url: "{url}/three"}}
models:
  - {{model: m, provider: one, context_tokens: 8000, max_output_tokens: 4000, tools: true, credits_per_1k: 10,
      {prices}}}
  - {{model: dear, provider: one, context_tokens: 8000, max_output_tokens: 4000, credits_per_1k: 1000, {prices}}}
  - {{model: unpriced, provider: one, context_tokens: 8000, max_output_tokens: 4000}}
  - {{model: homes, provider: one, context_tokens: 8000, max_output_tokens: 4000, credits_per_1k: 10, {prices}}}
  - {{model: homes, provider: two, context_tokens: 8000, max_output_tokens: 4000, credits_per_1k: 20, {prices}}}
  - {{model: homes, provider: three, context_tokens: 8000, max_output_tokens: 4000, credits_per_1k: 30, {prices}}}
"""
PRICES = 'input_usd_per_mtok: "1", output_usd_per_mtok: "2"'
IN_NANO, OUT_NANO = 1_000, 2_000
"""Nano-dollars of a token of `m`."""
KEYS = {"OPENAI_API_KEY": "sk-test-openai", "ANTHROPIC_API_KEY": "sk-test-anthropic"}
METERED = Plan(
    "metered", "Metered", 100, 0, None, None, None, ("auto", "cost", "quality", "speed"), force_model=True
)  # fmt: skip
PLENTY_MC = 100_000_000
_numbers = itertools.count(1)


@dataclass
class Customer:
    """One account of its own, with what its gateway knows of it."""

    stage: Stage
    id: str
    key: str
    test_key: str

    def client(self, *, live: bool = True) -> httpx.Client:
        told = {"Authorization": f"Bearer {self.key if live else self.test_key}"}
        return httpx.Client(base_url=self.stage.gateway.url, headers=told, timeout=30, trust_env=False)

    def post(self, entry: Entry, path: str = CHAT, *, live: bool = True, model: str = "m", **more: object) -> Any:  # noqa: ANN401
        """Ask something that the provider answers so."""
        with self.client(live=live) as client:
            return client.post(path, json=ask(self.stage.prompt(entry), model=model, **more))

    def row(self, response: httpx.Response | str) -> RequestRow:
        return row_of(self.stage.gateway, response)

    def rows(self) -> list[RequestRow]:
        return self.stage.gateway.rows(account_id=self.id)

    def balance(self) -> Balance:
        async def read() -> Balance:
            async with self.stage.gateway.opened() as database:
                return await Books(database).balance(self.id)

        return asyncio.run(read())

    def spent_mc(self) -> int:
        return PLENTY_MC - self.balance().posted_mc

    def charges(self) -> list[LedgerEntry]:
        async def read() -> list[LedgerEntry]:
            async with self.stage.gateway.opened() as database:
                return await Books(database).entries(self.id, None, 1_000)

        return [entry for entry in asyncio.run(read()) if entry.kind == "usage"]

    def budget(self, limit_nanousd: int, action: str, **more: object) -> None:
        """Set a budget; it holds within a second."""
        budget = Budget(f"b-{self.id}", self.id, "Monthly", "account", "", "total", limit_nanousd, action)

        async def put() -> None:
            async with self.stage.gateway.opened() as database:
                rows = BudgetRows(database)
                await rows.put(msgspec.structs.replace(budget, **more), int(time.time() * 1_000), actor=GATEWAY)

        asyncio.run(put())
        time.sleep(1.2)

    def budget_spent(self) -> int:
        async def read() -> int:
            async with self.stage.gateway.opened() as database:
                rows = await database.fetch(
                    "SELECT spent_nanousd FROM budget_windows WHERE budget_id = $1", f"b-{self.id}"
                )
                return sum(row[0] for row in rows)

        return asyncio.run(read())


def new_customer(stage: Stage, credits_mc: int = PLENTY_MC, plan: Plan = METERED) -> Customer:
    account_id = f"customer-{next(_numbers)}"

    async def make() -> tuple[str, str]:
        async with stage.gateway.opened() as database:
            await PlanRows(database).put(plan, 1, actor=GATEWAY)
            now_ms = int(time.time() * 1_000)
            await AccountRows(database).ensure(account_id, account_id, now_ms, plan.id, actor=GATEWAY)
            if credits_mc:
                await Books(database).top_up(account_id, credits_mc, f"paid-{account_id}", "tests", "paid")
            rows = KeyRows(database)
            live = await create_key(rows, account_id, "live", live=True, now_ms=now_ms, actor=GATEWAY)
            test = await create_key(rows, account_id, "test", live=False, now_ms=now_ms, actor=GATEWAY)
            return live.key, test.key

    return Customer(stage, account_id, *asyncio.run(make()))


def opened_stage(
    folder: Path, config: str = CONFIG, keys: Mapping[str, str] = MappingProxyType(KEYS), **environment: str
) -> Iterator[Stage]:
    with FakeUpstream(script=()) as upstream:
        told = config.format(url=upstream.url, prices=PRICES)
        with running_gateway(folder, config=told, **keys, **environment) as gateway:
            stage = Stage(gateway, upstream)
            upstream.script = stage.reply
            yield stage
        assert asyncio.run(_breaches(gateway)) == []


async def _breaches(gateway: LiveGateway) -> list[Any]:
    async with gateway.opened() as database:
        return list(await verify(database, int(time.time() * 1_000)))


def told(usage: object, text: str = "hello there") -> Entry:
    """A good answer in OpenAI's dialect whose usage is this, whatever it is."""

    def reply(request: Recorded) -> Reply:
        answer = Answer(text, pieces=(text,), usage=None)
        if not request.stream:
            return http_reply(200, answer.completion() | {"usage": usage})
        *events, done = answer.openai_events()
        last = {"id": "x", "object": "chat.completion.chunk", "created": 1, "model": "m", "choices": []}
        return sse([*events, data(last | {"usage": usage}), done])

    return reply
