"""Findings of the shield, as they are shown to whom they belong."""

from neuralrouting.api.figures import moment
from neuralrouting.exchange import JsonObject, SecurityEvent

_PLAIN = ("endpoint", "action", "category", "rule_category")
_PLACE = ("channel", "via", "message_index", "span_start", "span_end", "excerpt", "pack_hash", "truncated")


def event_fields(event: SecurityEvent) -> JsonObject:
    """Return what is told of a finding: of the text only the excerpt that was kept."""
    return {
        "object": "security.event",
        "request_id": event.request_id,
        "created": moment(event.created_ms),
        "key": event.key_id,
        "user": event.end_user,
        **{name: getattr(event, name) for name in _PLAIN},
        "risk": event.risk_permille / 1000,
        "rules": list(event.rule_ids),
        **{name: getattr(event, name) for name in _PLACE},
        "text_sha256": event.text_sha256.hex() if event.text_sha256 is not None else None,
    }
