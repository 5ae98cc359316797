"""Request rows: they come back as they were written, and by their account only."""

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from neuralrouting.storage.audit import AuditRows
from neuralrouting.storage.database import Database, RowError
from neuralrouting.storage.requests import APPEND_REQUEST, RequestRow

pytestmark = pytest.mark.anyio


def _row(request_id: str, **changes: object) -> RequestRow:
    row = RequestRow(
        request_id=request_id,
        created_ms=1_760_000_000_000,
        account_id="acme",
        key_id="AbCdEfGhIjKl",
        endpoint="/v1/chat/completions",
        stream=True,
        end_user="null",
        session_id="12",
        feature=None,
        requested_model="auto",
        routing_mode="cost",
        route_rule="short",
        deployment="openai/gpt-4o-mini",
        model="gpt-4o-mini",
        provider="openai",
        simulated=False,
        cache="miss",
        status=200,
        error_code=None,
        attempts='[{"deployment":"openai/gpt-4o-mini"}]',
        candidates='["openai/gpt-4o-mini"]',
        prompt_tokens=10,
        completion_tokens=20,
        cached_tokens=1,
        cache_write_tokens=1,
        reasoning_tokens=2,
        usage_source="provider",
        cost_nanousd=100,
        baseline_nanousd=1_000,
        price_version="2026-01-01",
        latency_us=1_234_567,
        ttft_us=None,
        overhead_us=321,
        task="qa",
        complexity_tenths=4,
        high_risk=False,
    )
    return msgspec.structs.replace(row, **changes)


async def _insert(database: Database, *rows: RequestRow) -> AuditRows:
    await database.write([(APPEND_REQUEST, [row.values() for row in rows])])
    return AuditRows(database)


async def test_a_row_comes_back_as_it_was_written(database: Database):
    plain, full = _row("plain"), _row("full", stream=False, simulated=True, request_body=b"\0{", response_body=b"")
    risky = _row("risky", complexity_tenths=100, high_risk=True, risk_domain="medical")
    unasked = _row("unasked", task=None, complexity_tenths=None, high_risk=None)
    rows = await _insert(database, plain, full, risky, unasked)
    for row in (plain, full, risky, unasked):
        assert await rows.find(row.request_id, "acme", bodies=True) == row
    assert await database.fetch("SELECT COUNT(*) FROM requests") == [(4,)]


async def test_another_accounts_request_is_not_found(database: Database):
    rows = await _insert(database, _row("mine"))
    assert await rows.find("mine", "other") is None
    assert await rows.find("nobodys", "acme") is None


async def test_a_request_that_is_written_down_is_not_written_again(database: Database):
    rows = await _insert(database, _row("a"), _row("b"))
    with pytest.raises(RowError):
        await _insert(database, _row("c"), _row("a", status=500))
    assert await database.fetch("SELECT COUNT(*) FROM requests") == [(2,)]
    assert await rows.find("a", "acme") == _row("a")


_text = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=20)
_values = st.fixed_dictionaries(
    {
        "end_user": st.none() | _text,
        "attempts": _text,
        "stream": st.booleans(),
        "cost_nanousd": st.none() | st.integers(0, 2**62),
        "request_body": st.none() | st.binary(),
        "complexity_tenths": st.none() | st.integers(0, 100),
        "high_risk": st.none() | st.booleans(),
    }
)


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(values=_values)
async def test_any_value_survives(database: Database, values: dict[str, object]):
    row = _row("x", **values)
    await database.execute("DELETE FROM requests")
    rows = await _insert(database, row)
    assert await rows.find("x", "acme", bodies=True) == row
