"""How far the changes of a table are known, for whoever polls it."""

from typing import Final

OVERLAP_MS: Final = 10_000
"""Polls look back this far for this long after a change."""


class Mark:
    """The newest `changed_ms` that was seen, and when; `now_s` is on the monotonic clock."""

    __slots__ = ("_changed_ms", "_seen_s")

    def __init__(self) -> None:
        self._changed_ms = 0
        self._seen_s = 0.0

    def see(self, changed_ms: int, now_s: float) -> None:
        """Note the change of a row that was read."""
        if changed_ms > self._changed_ms:
            self._changed_ms, self._seen_s = changed_ms, now_s

    def since_ms(self, now_s: float) -> int:
        """Ask for changes from here on.

        For a while after a change that is further back, for one that is older by its time but was committed later;
        not for ever, since a thousand rows that were changed together would be read again at every poll.
        """
        settled = now_s - self._seen_s > OVERLAP_MS / 1_000
        return self._changed_ms if settled else self._changed_ms - OVERLAP_MS
