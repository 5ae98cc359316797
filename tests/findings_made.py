"""A finding of the shield, as it is recorded."""

import msgspec

from neuralrouting.exchange import SecurityEvent


def an_event(request_id: str, **changes: object) -> SecurityEvent:
    event = SecurityEvent(
        request_id=request_id,
        created_ms=1_760_000_000_000,
        account_id="acme",
        key_id="AbCdEfGhIjKl",
        end_user="anna",
        endpoint="/v1/dispatch",
        action="block",
        category="CRITICAL",
        rule_category="override",
        risk_permille=950,
        rule_ids=("override.prior", 'odd",id'),
        channel="user",
        via="base64",
        message_index=2,
        span_start=10,
        span_end=42,
        excerpt="ignore \0 all",
        text_sha256=bytes(range(32)),
        pack_hash="a" * 64,
        truncated=True,
    )
    return msgspec.structs.replace(event, **changes)
