"""Who is asked where this worker's memory has no answer, before a model is.

Those are the tier that replicas share, and the second embedder where the built-in one only comes near. Both have a
budget of time, after which it is a miss.
"""

from typing import Protocol

from neuralrouting.engine import CachedReply, Engine, Inspection
from neuralrouting.exchange import Arrival, CacheEntry, Decider
from neuralrouting.layers.cache import remember


class Shared(Protocol):
    """The tier that replicas share."""

    async def find(
        self, account_id: str, key: bytes, scope: bytes | None, probe: bytes | None, embedder: str, now_ms: int
    ) -> list[CacheEntry]:
        """Return the answer to the very request, else those to the nearest questions of its scope; [] in time."""
        ...


class SecondLook:
    """Looks beyond the memory of this worker; without a shared tier and a second embedder it finds nothing."""

    def __init__(self, engine: Engine, shared: Shared | None, decider: Decider | None) -> None:
        self._engine = engine
        self._shared = shared
        self._decider = decider

    @property
    def idle(self) -> bool:
        """Whether there is nobody to ask."""
        return self._shared is None and self._decider is None

    async def hit(self, arrival: Arrival, inspection: Inspection) -> CachedReply | None:
        """Return an answer that may be given, or None."""
        found = await self._among_replicas(arrival, inspection)
        if found is None and self._decider is not None and inspection.undecided:
            found = await self._decided(self._decider, inspection)
        return found

    async def _among_replicas(self, arrival: Arrival, inspection: Inspection) -> CachedReply | None:
        if self._shared is None:
            return None
        account, scope, probe = arrival.caller.account_id, inspection.scope, inspection.probe
        entries = await self._shared.find(
            account, inspection.key, scope, probe, self._engine.embedder, arrival.created_ms
        )
        for entry in entries:
            remember(self._engine, entry)
        return self._engine.look_again(inspection) if entries else None

    async def _decided(self, decider: Decider, inspection: Inspection) -> CachedReply | None:
        vector = await decider.embed(inspection.last_user_text)
        return None if vector is None else self._engine.decide(inspection, decider.id, vector)
