"""Shadow audits for tests: one that a judge has decided, unless told otherwise."""

import time
from itertools import count

import msgspec

from neuralrouting.storage.shadow_audits import ShadowAudit

_numbers = count(1)
CHEAP, GOOD = "house/cheap", "house/good"


def audit_row(**changes: object) -> ShadowAudit:
    """An audit in which the candidate tied; its id is new."""
    number = next(_numbers)
    now_ms = time.time_ns() // 1_000_000
    audit = ShadowAudit(
        id=f"aud_{now_ms}_{number}",
        account_id="acme",
        request_id=f"req_{number}",
        kind="answer",
        task="qa",
        complexity_tenths=31,
        served=CHEAP,
        candidate=CHEAP,
        reference=GOOD,
        candidate_version="cheap-1",
        reference_version="good-1",
        entry=None,
        similarity=None,
        propensity=0.25,
        predicted=None,
        features=None,
        embedding=bytes(range(256)),
        verdict="tie",
        difference=0.0,
        method="judge",
        judge="house/judge",
        reason="equal",
        cost_nanousd=1_500,
        simulated=False,
        judged_ms=now_ms,
    )
    return msgspec.structs.replace(audit, **changes)
