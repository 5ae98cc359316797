"""Layer 1: what becomes of a request in which the native shield found something, and what is written down of it."""

import re
from typing import Literal, Protocol

from neuralrouting.config import ShieldConfig
from neuralrouting.engine import Shield, Verdict
from neuralrouting.errors import ShieldBlocked
from neuralrouting.exchange import Arrival, Caller, Finding, SecurityEvent, ShieldMode

FLAG_RISK = 0.5
"""From here on a request is flagged."""
_WORST_TIER_UNKNOWN = "HIGH"
"""Tier that is told where evidence without a rule of its own was enough to block."""

_MASKS = (
    (re.compile(r"[\w.+-]+@[\w-]+(?:\.[\w-]+)+"), "[email]"),
    (re.compile(r"((?:https?://|www\.)[^\s?]*\?)\S+"), r"\1[query]"),
    (re.compile(r"(?=[\w+/=-]*\d)(?=[\w+/=-]*[A-Za-z])[\w+/=-]{20,}"), "[token]"),
    (re.compile(r"\d(?:[ -]?\d){5,}"), "[digits]"),
)
"""In this order, on at most 160 characters."""


class Packs(Protocol):
    """The compiled rules of every account."""

    def for_account(self, account_id: str) -> Shield:
        """Return what judges the requests of this account."""
        ...


class Guard:
    """The operator's settings of the shield, applied to one verdict after the other."""

    def __init__(self, settings: ShieldConfig, packs: Packs) -> None:
        self._packs = packs
        self.lets_pass_unscanned = settings.on_error == "open"
        self._mode: ShieldMode = settings.mode
        self._threshold = settings.block_threshold
        self._tool_blocks = settings.tool_action == "block"
        self._keep_excerpts = settings.store_excerpts

    def shield_for(self, caller: Caller) -> Shield | None:
        """Return what is to scan this caller's requests; None where nothing is."""
        return None if self._mode_of(caller) == "off" else self._packs.for_account(caller.account_id)

    def judge(self, verdict: Verdict, caller: Caller) -> Finding:
        """Return what becomes of a request whose risk is FLAG_RISK or more; below that it passes unheard."""
        if weigh(verdict, self._threshold, tool_blocks=self._tool_blocks) != "block":
            return Finding("flag", verdict)
        return Finding("monitor" if self._mode_of(caller) == "monitor" else "block", verdict)

    def event(
        self, arrival: Arrival, finding: Finding | None, end_user: str | None, body: bytes | None
    ) -> SecurityEvent:
        """Return what the audit trail keeps; no finding means that the shield failed and let the request pass.

        Call it before anything is awaited: the pack that judged is then still the account's.
        """
        verdict = finding.verdict if finding is not None else None
        hits = verdict.hits if verdict is not None else []
        hit = hits[0] if hits else None
        return SecurityEvent(
            request_id=arrival.request_id,
            created_ms=arrival.created_ms,
            account_id=arrival.caller.account_id,
            key_id=arrival.caller.key_id,
            end_user=end_user,
            endpoint=arrival.hints.endpoint,
            action=finding.action if finding is not None else "unscanned",
            category=verdict.tier if verdict is not None else None,
            rule_category=hit.category if hit is not None else None,
            risk_permille=round(1000 * verdict.risk) if verdict is not None else 0,
            rule_ids=tuple(verdict.rules) if verdict is not None else (),
            channel=hit.channel if hit is not None else None,
            via=hit.via if hit is not None else None,
            message_index=hit.message if hit is not None else None,
            span_start=hit.start if hit is not None else None,
            span_end=hit.end if hit is not None else None,
            excerpt=masked(hit.excerpt) if hit is not None and self._keep_excerpts else None,
            text_sha256=verdict.text_sha256 if verdict is not None else None,
            pack_hash=self._packs.for_account(arrival.caller.account_id).hash,
            truncated=verdict.truncated if verdict is not None else False,
            body=body,
        )

    def _mode_of(self, caller: Caller) -> ShieldMode:
        return caller.shield_mode or self._mode


def weigh(verdict: Verdict, threshold: float, *, tool_blocks: bool) -> Literal["pass", "flag", "block"]:
    """Return what a verdict is worth where nothing is off or only monitored."""
    if verdict.risk < FLAG_RISK:
        return "pass"
    if verdict.risk < threshold:
        return "flag"
    if verdict.channel != "tool" or tool_blocks:
        return "block"
    # A document about injection looks like one: what a tool brought blocks nobody, what the client wrote does.
    own = max(verdict.risk_in("user"), verdict.risk_in("assistant"))
    return "block" if own >= threshold else "flag"


def refusal(finding: Finding) -> ShieldBlocked:
    """Return the error that tells the client why its request was blocked; never what it matched."""
    verdict = finding.verdict
    hits = verdict.hits
    message = hits[0].message if hits else None
    return ShieldBlocked(
        verdict.tier or _WORST_TIER_UNKNOWN,
        round(verdict.risk, 2),
        tuple(verdict.rules),
        param=f"messages[{message}]" if message is not None else None,
    )


def masked(excerpt: str) -> str:
    """Return an excerpt without e-mail addresses, query strings, keys and long numbers."""
    for pattern, mask in _MASKS:
        excerpt = pattern.sub(mask, excerpt)
    return excerpt
