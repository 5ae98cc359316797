"""What is purged, in memory: whether an entry that turns up now was stored before a purge that it falls under."""

from collections import defaultdict
from typing import TypeVar

from neuralrouting.exchange import CacheEntry
from neuralrouting.storage.purges import Purge, texts_hold

_Wanted = TypeVar("_Wanted")


class Tombstones:
    """All purges that a worker knows of. Keys and scopes are looked up, patterns are tried in turn."""

    def __init__(self) -> None:
        self._accounts: defaultdict[str, _Graves] = defaultdict(_Graves)

    def add(self, purge: Purge) -> None:
        """Remember a purge; the same one again changes nothing."""
        self._accounts[purge.account_id].add(purge)

    def cover(self, entry: CacheEntry) -> bool:
        """Whether this entry is gone and must neither be kept nor served."""
        graves = self._accounts.get(entry.account_id)
        return graves is not None and graves.cover(entry)

    def forget(self, before_ms: int) -> None:
        """Forget purges of before this time (Unix ms)."""
        for account_id, graves in list(self._accounts.items()):
            if graves.forget(before_ms):
                del self._accounts[account_id]


class _Graves:
    """The purges of one account: when all of it was purged last, each key, each scope; and those by text."""

    def __init__(self) -> None:
        self._all_ms = -1
        self._keys: dict[bytes, int] = {}
        self._scopes: dict[bytes, int] = {}
        self._others: dict[tuple[bytes | None, bytes | None, str | None], int] = {}

    def add(self, purge: Purge) -> None:
        match purge.scope, purge.key, purge.pattern:
            case None, None, None:
                self._all_ms = max(self._all_ms, purge.purged_ms)
            case None, bytes(key), None:
                self._keys[key] = max(self._keys.get(key, -1), purge.purged_ms)
            case bytes(scope), None, None:
                self._scopes[scope] = max(self._scopes.get(scope, -1), purge.purged_ms)
            case wanted:
                self._others[wanted] = max(self._others.get(wanted, -1), purge.purged_ms)

    def cover(self, entry: CacheEntry) -> bool:
        stored_ms = entry.stored_ms
        if stored_ms <= self._all_ms or stored_ms <= self._keys.get(entry.key, -1):
            return True
        if entry.scope is not None and stored_ms <= self._scopes.get(entry.scope, -1):
            return True
        return any(
            stored_ms <= purged_ms
            and scope in (None, entry.scope)
            and key in (None, entry.key)
            and (pattern is None or texts_hold(entry.body, pattern))
            for (scope, key, pattern), purged_ms in self._others.items()
        )

    def forget(self, before_ms: int) -> bool:
        """Whether nothing is left."""
        if self._all_ms < before_ms:
            self._all_ms = -1
        self._keys = _since(before_ms, self._keys)
        self._scopes = _since(before_ms, self._scopes)
        self._others = _since(before_ms, self._others)
        return self._all_ms < 0 and not (self._keys or self._scopes or self._others)


def _since(before_ms: int, graves: dict[_Wanted, int]) -> dict[_Wanted, int]:
    return {wanted: purged_ms for wanted, purged_ms in graves.items() if purged_ms >= before_ms}
