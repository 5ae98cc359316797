"""A fortnight of requests of an account, with amounts that do not round: real, simulated, cached, failed ones."""

import time

from live_gateway import LiveGateway
from neuralrouting.storage.books import Books
from neuralrouting.storage.database import Database
from settling import new_worker, settled

USERS, FEATURES = ("anna", "bert", "<b>eve</b>"), ("search", "support", "=1+1")
MODELS = ("openai/gpt-4o", "openai/gpt-4o-mini", "anthropic/claude-sonnet-4-5")
REQUESTS = 120
STEP_MS = 3 * 3_600_000 // 2


async def fill(gateway: LiveGateway, account_id: str = "default") -> None:
    """Settle them, the last one now."""
    async with gateway.opened() as database:
        await _settle(database, gateway.key_id, account_id)


async def _settle(database: Database, key_id: str, account_id: str) -> None:
    worker = await new_worker(Books(database))
    now_ms = time.time_ns() // 1_000_000
    rows = []
    for number in range(REQUESTS):
        deployment = MODELS[number % 3]
        provider, _, model = deployment.partition("/")
        hit = number % 4 == 1
        rows.append(
            settled(
                f"req_history{number:04d}",
                0,
                account_id=account_id,
                key_id=key_id,
                created_ms=now_ms - number * STEP_MS,
                end_user=USERS[number % 3],
                feature=FEATURES[number // 3 % 3],
                deployment=deployment,
                model=model,
                provider=provider,
                cache="exact" if hit else "miss",
                status=200 if number % 10 else 502,
                error_code=None if number % 10 else "upstream_timeout",
                cost_nanousd=0 if hit else 1_000_001 * (number + 1),
                baseline_nanousd=3_000_007 * (number + 1),
                simulated=number % 12 == 11,
            )
        )
    await worker.turn(*rows)
