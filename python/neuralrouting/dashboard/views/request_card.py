"""All of one request: what each layer decided, who was asked, what it cost, what was booked, found and said."""

from collections.abc import Sequence
from typing import Any, Final

import msgspec

from neuralrouting.api.feedback import feedback_fields
from neuralrouting.api.figures import money
from neuralrouting.api.records import decision_of, entry_fields, request_fields
from neuralrouting.api.security import event_fields
from neuralrouting.api.shadow import audit_fields
from neuralrouting.dashboard.page import Ask, Page
from neuralrouting.dashboard.viewer import Viewer
from neuralrouting.errors import NotFound
from neuralrouting.exchange import JsonObject
from neuralrouting.storage.audit import AuditRows
from neuralrouting.storage.books import Books
from neuralrouting.storage.feedback import FeedbackRows
from neuralrouting.storage.requests import RequestRow
from neuralrouting.storage.security import SecurityRows
from neuralrouting.storage.shadow_audits import ShadowAudits

BODY_CHARS: Final = 20_000
"""Characters of a body that are shown."""


class Shelves(msgspec.Struct, frozen=True):
    """Where what belongs to a request is kept."""

    requests: AuditRows
    books: Books
    feedback: FeedbackRows
    audits: ShadowAudits
    events: SecurityRows


class RequestCards:
    """Reads single requests."""

    def __init__(self, shelves: Shelves) -> None:
        self._shelves = shelves

    def page(self) -> Page:
        """Return the page of one request."""
        return Page(
            "request", "Request", "see_requests", self.body, path="/requests/{id}", nav=False, filters=False
        )  # fmt: skip

    async def body(self, ask: Ask) -> JsonObject:
        """Return one request. Raises NotFound."""
        found = await self.find(ask.viewer, ask.path["id"])
        if found is None:
            raise NotFound(f"no request {ask.path['id'][:64]!r}")
        return found

    async def find(self, viewer: Viewer, request_id: str) -> JsonObject | None:
        """Return all that is known of a request of the viewer's account, its bodies only for an owner."""
        shelves, account_id, bodies = self._shelves, viewer.account_id, viewer.role == "owner"
        row = await shelves.requests.find(request_id, account_id, bodies=bodies) if "\0" not in request_id else None
        if row is None:
            return None
        entries = await shelves.books.entries_of(request_id, account_id)
        event = await shelves.events.find(account_id, request_id)
        return {
            **request_fields(row),
            "object": "page.request",
            "account": account_id,
            "timeline": timeline(row),
            "decision": (decision := decision_of(row)),
            "layers": layers(decision) if decision is not None else [],
            "ledger": [entry_fields(entry, "owner") for entry in entries],
            "feedback": [feedback_fields(said) for said in await shelves.feedback.of(account_id, request_id)],
            "shadow_audits": [audit_fields(audit) for audit in await shelves.audits.of_request(account_id, request_id)],
            "security": event_fields(event) if event is not None else None,
            "bodies": _bodies(row) if bodies else None,
        }


def timeline(row: RequestRow) -> list[JsonObject]:
    """Return the attempts, which follow one another, and where each lies within the request's time, in percent."""
    attempts: list[JsonObject] = request_fields(row)["attempts"]
    whole_us = max(1, row.latency_us, sum(one["latency_us"] for one in attempts))
    at_us, found = 0, []
    for one in attempts:
        cost: int | None = one.get("cost_nanousd")
        place = {"from_percent": _percent(at_us, whole_us), "percent": _percent(one["latency_us"], whole_us)}
        found.append({**one, **money("cost", cost), **place})
        at_us += one["latency_us"]
    return found


def layers(decision: JsonObject) -> list[JsonObject]:
    """Return what each layer said, in the order in which they were asked, with what it went by."""
    found = [_shield(decision["shield"]), _cache(decision["cache"])]
    if (task := decision.get("task")) is not None:
        found.append(_task(task, decision.get("asked")))
    predicted, escalated = decision.get("predicted", {}), decision.get("escalated")
    if predicted or escalated is not None:
        told = [(head, f"{difference:+.3f}") for head, difference in predicted.items()]
        like = "likeness to a prompt that went wrong", None if escalated is None else f"{escalated:.3f}"
        found.append(_layer("Confidence", "predicts quality minus the reference's", [*told, like]))
    if (route := decision.get("route")) is not None:
        found.append(_route(route))
    if (refused := decision.get("refused")) is not None:
        found.append(_layer("Refused", refused, []))
    return found


def _layer(name: str, says: str, evidence: Sequence[tuple[str, object]]) -> JsonObject:
    told = [{"name": what, "value": value} for what, value in evidence if value not in (None, "", [])]
    return {"layer": name, "says": says, "evidence": told}


def _shield(note: JsonObject) -> JsonObject:
    risk = note.get("risk", 0.0)
    return _layer("Shield", note["says"], [("risk", f"{risk:.3f}"), ("rules", ", ".join(note.get("rules", ())))])


def _cache(note: JsonObject) -> JsonObject:
    similarity = note.get("similarity")
    return _layer(
        "Cache",
        note["outcome"],
        [
            ("similarity", None if similarity is None else f"{similarity:.4f}"),
            ("reason", note.get("reason")),
            ("entry", note.get("entry")),
        ],
    )


def _task(note: JsonObject, asked: JsonObject | None) -> JsonObject:
    seen = asked or {}
    flags = [word for word in ("tools", "images") if seen.get(word)]
    json_mode = seen.get("json_mode", "none")
    return _layer(
        "Classification",
        f"{note['task']}, complexity {note['complexity']:.1f} of 10",
        [
            ("confidence", f"{note['confidence']:.3f}" + (", too low to build on" if note.get("abstained") else "")),
            ("high risk", note.get("risk")),
            ("messages", seen.get("messages")),
            ("prompt tokens, estimated", seen.get("prompt_tokens")),
            ("with", ", ".join([*flags, *([f"JSON {json_mode}"] if json_mode != "none" else [])])),
        ],
    )


def _route(note: JsonObject) -> JsonObject:
    rule: JsonObject | None = note.get("rule")
    return _layer(
        "Routing",
        f"chose {note['chosen']}",
        [
            ("mode", f"{note['mode']}, from {note['source']}"),
            ("decided by", note.get("affinity") or note["reason"]),
            ("rule of the account", None if rule is None else f"{rule['name']} (line {rule['line']})"),
            ("cascade", "the cheap answer is looked at first" if note.get("cascade") else None),
            ("answer reckoned with", f"{note['assumed_output_tokens']} tokens"),
            ("further models behind these", note.get("further")),
        ],
    )


def _bodies(row: RequestRow) -> JsonObject:
    return {"request": _text(row.request_body), "response": _text(row.response_body)}


def _text(body: bytes | None) -> JsonObject | None:
    if body is None:
        return None
    text = body.decode(errors="replace")
    return {"text": text[:BODY_CHARS], "characters": len(text), "cut": len(text) > BODY_CHARS}


def _percent(part: Any, whole: Any) -> float:  # noqa: ANN401  microseconds out of JSON
    return round(100 * part / whole, 2)
