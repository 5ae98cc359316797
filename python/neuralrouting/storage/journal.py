"""A worker's append-only record of holds and settlements: it survives `kill -9` and is replayed by another worker."""

import errno
import fcntl
import os
import shutil
import zlib
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from pathlib import Path
from struct import Struct
from typing import Self

import msgspec

from neuralrouting.errors import Unavailable
from neuralrouting.exchange import HoldState
from neuralrouting.storage.requests import RequestRow
from neuralrouting.storage.turns import Settlement

SEGMENT_BYTES = 8 * 1024 * 1024
"""A file that has grown to this is followed by another, so that what is in the tables can be deleted."""
_FRAME = Struct("<II")
"""Before each record: how many bytes it has, and their CRC-32."""
_STARTED, _SETTLED = b"s", b"e"
_LOCK = "lock"

_encode = msgspec.msgpack.Encoder().encode


class Started(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A request that was let in and is not finished: what is known of it if its worker dies."""

    request_id: str
    created_ms: int
    account_id: str
    key_id: str
    endpoint: str
    stream: bool
    held_mc: int

    def expired(self) -> Settlement:
        """Settle it as what it is: lost with its worker, free of charge."""
        return self.lost("worker_died", "expired")

    def lost(self, error_code: str, hold_state: HoldState) -> Settlement:
        """Settle it with nothing else known of it, free of charge."""
        row = RequestRow(
            request_id=self.request_id,
            created_ms=self.created_ms,
            account_id=self.account_id,
            key_id=self.key_id,
            endpoint=self.endpoint,
            stream=self.stream,
            end_user=None,
            session_id=None,
            feature=None,
            requested_model=None,
            routing_mode=None,
            route_rule=None,
            deployment=None,
            model=None,
            provider=None,
            simulated=False,
            cache="miss",
            status=500,
            error_code=error_code,
            attempts="[]",
            candidates="[]",
            prompt_tokens=0,
            completion_tokens=0,
            cached_tokens=0,
            cache_write_tokens=0,
            reasoning_tokens=0,
            usage_source=None,
            cost_nanousd=0,
            baseline_nanousd=None,
            price_version=None,
            latency_us=0,
            ttft_us=None,
            overhead_us=None,
            hold_state=hold_state,
            held_mc=self.held_mc,
        )
        return Settlement(row, metered=False)


_decode_started = msgspec.msgpack.Decoder(Started)
_decode_settlement = msgspec.msgpack.Decoder(Settlement)


class Journal:
    """The journal of this process. Positions are bytes since its beginning, over all its files.

    Each record is one `write` into the page cache: the process may die right after it, the machine may not.
    """

    def __init__(self, root: Path, worker_id: str, *, segment_bytes: int = SEGMENT_BYTES) -> None:
        self.worker_id = worker_id
        self._folder = root / worker_id
        self._segment_bytes = segment_bytes
        self._open_starts: dict[str, bytes] = {}
        self._segments: list[int] = []
        self._base = self._end = 0
        self._fd = -1
        self._lock = -1

    @classmethod
    def create(cls, root: Path, worker_id: str, *, segment_bytes: int = SEGMENT_BYTES) -> Self:
        """Begin an empty journal in a folder of its own; raises Unavailable when it cannot be written."""
        journal = cls(root, worker_id, segment_bytes=segment_bytes)
        hidden = root / f".{worker_id}"  # seen by nobody before it is locked
        with _told(journal._folder):
            hidden.mkdir(mode=0o700, parents=True)
            journal._lock = os.open(hidden / _LOCK, os.O_CREAT | os.O_RDWR, 0o600)
            fcntl.flock(journal._lock, fcntl.LOCK_EX)
            hidden.rename(journal._folder)
            journal._begin_segment(b"")
        return journal

    @property
    def end(self) -> int:
        """Where the next record will stand."""
        return self._end

    def start(self, started: Started) -> None:
        """Note that a request was let in; raises Unavailable when that cannot be noted: then it must not be."""
        record = _STARTED + _encode(started)
        self._append(record)
        self._open_starts[started.request_id] = record

    def settle(self, settlement: Settlement) -> None:
        """Note how a request ended. Raises Unavailable when that cannot be noted; the caller still has it."""
        self._open_starts.pop(settlement.row.request_id, None)
        self._append(_SETTLED + _encode(settlement))

    def applied(self, position: int) -> None:
        """Let go of the files whose records are all in the tables."""
        while len(self._segments) > 1 and self._segments[1] <= position:
            self._path(self._segments.pop(0)).unlink(missing_ok=True)

    def close(self, *, remove: bool) -> None:
        """Let go of the journal; `remove` when all of it is in the tables."""
        if remove:
            shutil.rmtree(self._folder, ignore_errors=True)
        os.close(self._fd)
        os.close(self._lock)

    def _append(self, record: bytes) -> None:
        framed = _framed(record)
        try:  # not `_told`, which costs a fifth of it: each request comes here twice
            if self._end - self._base >= self._segment_bytes:
                # The new file begins with the requests that are still under way.
                self._begin_segment(b"".join(_framed(started) for started in self._open_starts.values()))
            _write(self._fd, self._end - self._base, framed)
        except OSError as error:
            raise _unwritable(self._folder, error) from error
        self._end += len(framed)

    def _begin_segment(self, first: bytes) -> None:
        path = self._path(self._end)
        fd = os.open(path, os.O_CREAT | os.O_TRUNC | os.O_WRONLY | os.O_APPEND, 0o600)
        try:
            _write(fd, 0, first)
        except OSError:
            os.close(fd)
            path.unlink()
            raise
        if self._fd >= 0:
            os.close(self._fd)
        self._fd, self._base = fd, self._end
        self._segments.append(self._base)
        self._end += len(first)

    def _path(self, base: int) -> Path:
        return self._folder / f"{base:016x}"


class Orphan(msgspec.Struct, frozen=True):
    """The journal of a worker that died: its settlements with their end positions, and what it never finished."""

    worker_id: str
    settled: tuple[tuple[int, Settlement], ...]
    unfinished: tuple[Started, ...]


def orphans(root: Path) -> Generator[Orphan]:
    """Yield the journals whose workers are dead, each locked against other processes meanwhile.

    A journal is removed when the next one is asked for: by then it must be in the tables.
    """
    for folder in sorted(root.glob("[!.]*")):
        try:
            lock = os.open(folder / _LOCK, os.O_RDWR)
        except OSError:  # another process has just dealt with it
            continue
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if folder.is_dir():
                yield _read(folder)
                shutil.rmtree(folder, ignore_errors=True)
        except BlockingIOError:  # its worker lives
            continue
        finally:
            os.close(lock)


def _framed(record: bytes) -> bytes:
    return _FRAME.pack(len(record), zlib.crc32(record)) + record


def _write(fd: int, size: int, data: bytes) -> None:
    """Append to a file of this size, all or nothing: what follows a disk that filled up must stand on whole records."""
    written = -1
    try:
        written = os.write(fd, data)
    finally:
        if written != len(data):
            os.ftruncate(fd, size)
    if written != len(data):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def _read(folder: Path) -> Orphan:
    settled: list[tuple[int, Settlement]] = []
    started: dict[str, Started] = {}
    for path in sorted(folder.glob("?" * 16)):
        for end, record in _records(path.read_bytes(), int(path.name, 16)):
            if record[:1] == _STARTED:
                begun = _decode_started.decode(record[1:])
                started[begun.request_id] = begun
            else:
                settlement = _decode_settlement.decode(record[1:])
                settled.append((end, settlement))
    for _, settlement in settled:
        started.pop(settlement.row.request_id, None)
    return Orphan(folder.name, tuple(settled), tuple(started.values()))


def _records(data: bytes, base: int) -> Iterator[tuple[int, bytes]]:
    """Yield (end position, record) up to the first one that is not whole: the worker died while writing it."""
    at = 0
    while at + _FRAME.size <= len(data):
        length, crc = _FRAME.unpack_from(data, at)
        record = data[at + _FRAME.size : at + _FRAME.size + length]
        at += _FRAME.size + length
        if len(record) != length or not record or zlib.crc32(record) != crc:
            return
        yield base + at, record


@contextmanager
def _told(folder: Path) -> Generator[None]:
    try:
        yield
    except OSError as error:
        raise _unwritable(folder, error) from error


def _unwritable(folder: Path, error: OSError) -> Unavailable:
    return Unavailable(
        f"the journal in {folder} cannot be written ({error.strerror}): no request is let in that could not be billed; "
        "free some disk space or mend the directory",
        code="journal_unavailable",
        retry_after_s=5,
    )
