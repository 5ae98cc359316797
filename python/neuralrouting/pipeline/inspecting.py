"""The one crossing into the core: a body becomes an Inspection, scanned, looked up and classified."""

import hashlib

from neuralrouting.catalog import Catalog
from neuralrouting.config import Config
from neuralrouting.engine import Engine, Inspection, RejectedBody, Shield, rejection
from neuralrouting.exchange import Arrival
from neuralrouting.pipeline.choosing import Choosing


class Inspecting:
    """Reads bodies as their headers and the account want them read: one per worker."""

    def __init__(self, config: Config, catalog: Catalog, engine: Engine, choosing: Choosing) -> None:
        self._engine = engine
        self._choosing = choosing
        # A stored answer is found again only while the same models can be reached: a simulated one never outlives
        # the moment in which a real provider takes over.
        reachable = "\n".join(sorted(d.id for d in catalog.servable))
        self._policy = hashlib.sha256(reachable.encode()).hexdigest()[:16]
        self._reads_cache = config.cache.enabled
        self._semantic = config.semantic_cache.enabled and config.cache.enabled

    def inspect(self, body: bytes, arrival: Arrival, shield: Shield | None, *, read_cache: bool = True) -> Inspection:
        """Parse, scan and look up in one native call; raises RequestError for a body that cannot be served."""
        caller, hints = arrival.caller, arrival.hints
        try:
            return self._engine.inspect(
                body,
                f"{caller.account_id}/{'live' if caller.live else 'test'}/{self._policy}",
                model=hints.model,
                routing_mode=hints.routing_mode,
                read_cache=read_cache and hints.read_cache and self._reads_cache,
                shield=shield,
                semantic=self._semantic,
                threshold=hints.similarity,
                user=hints.end_user,
                predictor=self._choosing.predictor(caller.account_id),
            )
        except RejectedBody as error:
            raise rejection(error) from error
