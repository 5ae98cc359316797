"""Server-sent events from providers, parsed on bytes: only LF, CRLF and CR end a line."""

import msgspec

from neuralrouting.errors import UpstreamBadResponse

MAX_EVENT_BYTES = 1024 * 1024
_BOM = b"\xef\xbb\xbf"


class Event(msgspec.Struct, frozen=True, gc=False):
    """One event. `event` is empty where the provider named none."""

    event: str
    data: bytes


class SseParser:
    """Feeds on any chunking of a stream and gives the same events for each."""

    __slots__ = ("_first", "_pending")

    def __init__(self) -> None:
        self._pending = b""
        self._first = True

    def feed(self, data: bytes) -> list[Event]:
        """Return the events that these bytes complete; raises UpstreamBadResponse when one is over 1 MiB."""
        data = self._pending + data if self._pending else data
        if self._first:
            if len(data) < len(_BOM) and _BOM.startswith(data):
                self._pending = data
                return []
            self._first = False
            data = data.removeprefix(_BOM)
        held = b""
        if b"\r" in data:
            if data.endswith(b"\r"):  # half of a \r\n, perhaps: wait for the next byte
                data, held = data[:-1], b"\r"
            data = data.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
        *blocks, rest = data.split(b"\n\n")
        self._pending = rest + held
        if len(self._pending) > MAX_EVENT_BYTES:
            raise UpstreamBadResponse("the provider sent an event of over 1 MiB")
        return [event for block in blocks if (event := _event(block)) is not None]

    def close(self) -> list[Event]:
        """Return the event whose closing blank line never came, if there is one: some servers forget it."""
        block, self._pending = self._pending.rstrip(b"\r\n"), b""
        event = _event(block)
        return [event] if event is not None else []


def _event(block: bytes) -> Event | None:
    if block.startswith(b"data: ") and b"\n" not in block:  # nearly all events of nearly all providers
        return Event("", block[6:])
    name, data = "", []
    for line in block.split(b"\n"):
        field, _, value = line.partition(b":")
        value = value.removeprefix(b" ")
        if field == b"data":
            data.append(value)
        elif field == b"event":
            name = value.decode("utf-8", "replace")
    return Event(name, b"\n".join(data)) if data else None
