"""Rows of served and refused requests: one per request, with its decision, tokens, cost and time."""

from typing import Any

import msgspec

from neuralrouting.exchange import HoldState
from neuralrouting.storage.database import Database, Row


class RequestRow(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """One request, in the order of its columns.

    Money in nano-dollars (None is unpriced, never zero), `created_ms` in Unix milliseconds. `attempts` and
    `candidates` are JSON text. The bodies stay None unless the operator asked for them to be stored. Task, complexity
    (tenths, 0 to 100) and risk are None where no model was to be asked: the cache answered, or the shield blocked.

    `hold_state` None: a row from before credits. `held_mc` and `charged_mc` are millicredits; both are 0 where credits
    are not counted. `house_nanousd` is what attempts cost that the account does not pay for, `provider_cache_nanousd`
    what the provider's own prompt cache took off.
    """

    request_id: str
    created_ms: int
    account_id: str
    key_id: str
    endpoint: str
    stream: bool
    end_user: str | None
    session_id: str | None
    feature: str | None
    requested_model: str | None
    routing_mode: str | None
    route_rule: str | None
    deployment: str | None
    model: str | None
    provider: str | None
    simulated: bool
    cache: str
    status: int
    error_code: str | None
    attempts: str
    candidates: str
    prompt_tokens: int
    completion_tokens: int
    cached_tokens: int
    cache_write_tokens: int
    reasoning_tokens: int
    usage_source: str | None
    cost_nanousd: int | None
    baseline_nanousd: int | None
    price_version: str | None
    latency_us: int
    ttft_us: int | None
    overhead_us: int | None
    request_body: bytes | None = None
    response_body: bytes | None = None
    task: str | None = None
    complexity_tenths: int | None = None
    high_risk: bool | None = None
    risk_domain: str | None = None
    team: str | None = None
    hold_state: HoldState | None = "none"
    held_mc: int = 0
    charged_mc: int = 0
    house_nanousd: int = 0
    provider_cache_nanousd: int = 0

    def values(self) -> Row:
        """Return what `INSERT_REQUEST` takes."""
        return msgspec.structs.astuple(self)


class Sums(msgspec.Struct, frozen=True):
    """What some requests come to, in nano-dollars and tokens.

    `cost_nanousd` adds what is known; `unpriced` counts the requests that it leaves out. `baseline_nanousd`
    and `saved_nanousd` are over the requests that have both a cost and a baseline: they can be compared.
    """

    requests: int = 0
    unpriced: int = 0
    cost_nanousd: int = 0
    baseline_nanousd: int = 0
    saved_nanousd: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0


class Totals(msgspec.Struct, frozen=True):
    """Real and simulated money, never added up."""

    real: Sums
    simulated: Sums


_COLUMNS = RequestRow.__struct_fields__
APPEND_REQUEST = (
    f"INSERT INTO requests ({', '.join(_COLUMNS)}) "  # noqa: S608  names of our own columns
    f"VALUES ({', '.join(f'${place}' for place in range(1, len(_COLUMNS) + 1))})"
)
"""Takes `RequestRow.values()`. A row that is there already is refused."""
INSERT_REQUEST = f"{APPEND_REQUEST} ON CONFLICT DO NOTHING"
"""Takes `RequestRow.values()`. A row that is there already stays, so that a batch may be written again."""

_FIND = f"SELECT {', '.join(_COLUMNS)} FROM requests WHERE request_id = $1 AND account_id = $2"  # noqa: S608
_TOTALS = """
SELECT
    simulated,
    COUNT(*),
    SUM(CASE WHEN cost_nanousd IS NULL THEN 1 ELSE 0 END),
    CAST(COALESCE(SUM(cost_nanousd), 0) AS BIGINT),
    CAST(COALESCE(SUM(CASE WHEN cost_nanousd IS NULL THEN NULL ELSE baseline_nanousd END), 0) AS BIGINT),
    CAST(COALESCE(SUM(baseline_nanousd - cost_nanousd), 0) AS BIGINT),
    CAST(SUM(prompt_tokens) AS BIGINT),
    CAST(SUM(completion_tokens) AS BIGINT)
FROM requests
WHERE account_id = $1 AND created_ms >= $2
GROUP BY simulated
"""


class RequestRows:
    """Reads request rows; they are written through the `Writer` with `INSERT_REQUEST`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def find(self, request_id: str, account_id: str) -> RequestRow | None:
        """Return one request of this account; another account's is as unknown as none."""
        rows = await self._database.fetch(_FIND, request_id, account_id)
        # Not strict: the databases keep a flag as 0 or 1.
        return msgspec.convert(rows[0], RequestRow, strict=False) if rows else None

    async def count(self) -> int:
        """Return how many requests are written down, of all accounts."""
        rows = await self._database.fetch("SELECT COUNT(*) FROM requests")
        return int(rows[0][0])

    async def totals(self, account_id: str, since_ms: int) -> Totals:
        """Sum up an account's requests from `since_ms` (Unix time) on."""
        rows = await self._database.fetch(_TOTALS, account_id, since_ms)
        sums: dict[bool, Sums] = {bool(row[0]): _sums(row[1:]) for row in rows}
        return Totals(real=sums.get(False, Sums()), simulated=sums.get(True, Sums()))


def _sums(row: tuple[Any, ...]) -> Sums:
    return Sums(*(int(value) for value in row))
