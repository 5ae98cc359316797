"""The log of changes that people make over the API: who, what and to whom, never a secret."""

import json
import logging

from neuralrouting.exchange import Caller

log = logging.getLogger("neuralrouting.changes")


def changed(caller: Caller, what: str, **facts: str | int | bool | None) -> None:
    """Log one change, made by the holder of a key: one line of names and values, those as JSON."""
    told = {"change": what, "key": caller.key_id, "role": caller.role, **facts}
    log.info(" ".join(f"{name}={json.dumps(value, ensure_ascii=True)}" for name, value in told.items()))
