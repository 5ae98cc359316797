"""All requests of a filter as CSV, however many: read and written in small parts, for as long as somebody listens.

The columns and their values are those of `records.request_fields`; a test compares both. The database writes the lines
(`storage.lines`): fifty columns of a million rows, beside which others want to be served.
"""

import asyncio
from collections.abc import AsyncGenerator
from typing import Final

from neuralrouting.storage.audit import AuditQuery, AuditRows
from neuralrouting.storage.lines import Column, head

CSV_HEADERS: Final = {"x-content-type-options": "nosniff", "cache-control": "no-store"}
CHUNK_ROWS: Final = 2_000
"""Requests that are looked at by one query: some milliseconds, and a megabyte on its way."""
COLUMNS: Final = (
    Column("request_id", "word"),
    Column("created", "moment", "created_ms"),
    Column("endpoint", "word"),
    Column("stream", "flag"),
    Column("key", "word", "key_id"),
    Column("user", "text", "end_user"),
    Column("session", "text", "session_id"),
    Column("feature", "text"),
    Column("team", "text"),
    Column("status", "integer"),
    Column("error_code", "word"),
    Column("cache", "word"),
    Column("requested_model", "text"),
    Column("routing_mode", "word"),
    Column("route_rule", "text"),
    Column("task", "word"),
    Column("complexity", "tenths", "complexity_tenths"),
    Column("high_risk", "flag"),
    Column("risk_domain", "word"),
    Column("candidates", "json"),
    Column("deployment", "text"),
    Column("model", "text"),
    Column("provider", "text"),
    Column("simulated", "flag"),
    Column("attempts", "json"),
    Column("prompt_tokens", "integer"),
    Column("completion_tokens", "integer"),
    Column("cached_tokens", "integer"),
    Column("cache_write_tokens", "integer"),
    Column("reasoning_tokens", "integer"),
    Column("usage_source", "word"),
    Column("price_version", "text"),
    Column("cost", "nanousd", "cost_nanousd"),
    Column("baseline", "nanousd", "baseline_nanousd"),
    Column("saved", "nanousd", "(baseline_nanousd - cost_nanousd)"),
    Column("house", "nanousd", "house_nanousd"),
    Column("provider_cache", "nanousd", "provider_cache_nanousd"),
    Column("hold_state", "word"),
    Column("held", "millicredits", "held_mc"),
    Column("charged", "millicredits", "charged_mc"),
    Column("latency_us", "integer"),
    Column("ttft_us", "integer"),
    Column("overhead_us", "integer"),
)
"""What is told of each request, in this order."""


async def request_blocks(rows: AuditRows, query: AuditQuery) -> AsyncGenerator[bytes]:
    """Yield the CSV (RFC 4180) of all requests of a question, newest first; the next part is read while one is sent.

    No part is read before the one before the last was taken. Raises Unavailable when the database is away.
    """
    yield (",".join(head(COLUMNS)) + "\r\n").encode()
    reading = asyncio.create_task(rows.chunk(query, COLUMNS, CHUNK_ROWS))
    try:
        while True:
            chunk = await reading
            if chunk.behind is not None:
                reading = asyncio.create_task(rows.chunk(query, COLUMNS, CHUNK_ROWS, chunk.behind))
            if chunk.lines:
                yield "\r\n".join([*chunk.lines, ""]).encode()
            if chunk.behind is None:
                return
    finally:
        reading.cancel()
