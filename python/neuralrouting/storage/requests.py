"""Rows of served and refused requests: one per request, with its decision, tokens, cost and time."""

import msgspec

from neuralrouting.exchange import HoldState
from neuralrouting.storage.database import Row


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
    decision: str | None = None

    def values(self) -> Row:
        """Return what `APPEND_REQUEST` takes."""
        return msgspec.structs.astuple(self)


_COLUMNS = RequestRow.__struct_fields__
APPEND_REQUEST = (
    f"INSERT INTO requests ({', '.join(_COLUMNS)}) "  # noqa: S608  names of our own columns
    f"VALUES ({', '.join(f'${place}' for place in range(1, len(_COLUMNS) + 1))})"
)
"""Takes `RequestRow.values()`. A row that is there already is refused."""
