"""Joins a request to an equal one under way, and ends one that has read along with another."""

from neuralrouting.engine import Inspection
from neuralrouting.exchange import AnswerStream, Arrival, CacheEntry
from neuralrouting.layers.cache import AnswerCache
from neuralrouting.pipeline.chunklog import Follower
from neuralrouting.pipeline.ending import Ending
from neuralrouting.pipeline.flight import Flights, Seat
from neuralrouting.pipeline.turn import Turn


class Joining:
    """What flights are to requests: one per worker. `patience_s` as for `Flights`."""

    def __init__(self, cache: AnswerCache, ending: Ending, patience_s: float) -> None:
        self._cache = cache
        self._ending = ending
        self.flights = Flights(patience_s)

    async def shared(self, turn: Turn) -> CacheEntry | Follower | None:
        """What an equal request under way answers this one with; a Follower to streams only, and it must be closed.

        None: this one is to ask a model, and has a seat if others may wait for that.
        """
        arrival = turn.arrival
        if not self._cache.takes_part(arrival.hints):
            return None
        key = turn.inspection.key
        turn.seat = self.flights.lead(key, arrival.request_id)
        if turn.seat is not None:
            return None
        came_us = turn.since_us()
        found = await self.flights.join(key, arrival.request_id, stream=turn.stream)
        turn.waited_us = turn.since_us() - came_us
        if isinstance(found, Seat):
            turn.seat = found
            return None
        return found

    async def unshared(self, arrival: Arrival, inspection: Inspection) -> None:
        """Wait until no other request waits for the answer that this one gets from a model; returns if none does."""
        await self.flights.unshared(inspection.key, arrival.request_id)

    def follow(self, turn: Turn, followed: Follower) -> AnswerStream:
        """Return the stream of a request that reads along: free, and on record as from the cache."""
        overhead_us = max(0, turn.since_us() - turn.upstream_us)
        stream = AnswerStream(followed.log.deployment, turn.followed, overhead_us, turn.finding, None)

        def ended(failure: BaseException | None) -> None:
            try:
                stream.facts = self._ending.end_shared(turn, followed.log, failure)
            except BaseException as error:
                if not turn.ended:
                    self._ending.fail(turn, error)
                raise

        followed.ended = ended
        stream.batches = followed
        return stream
