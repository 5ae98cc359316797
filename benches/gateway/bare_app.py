"""The yardstick: an ASGI app that reads the body and answers fixed bytes, under Granian as the gateway runs it.

python -m benches.gateway.bare_app PORT
"""

import sys
from collections.abc import Awaitable, Callable
from typing import Any

from granian.constants import HTTPModes, Interfaces, Loops
from granian.http import HTTP1Settings
from granian.server.mp import MPServer

from .mock_upstream import whole_answer

_BODY = whole_answer().partition(b"\r\n\r\n")[2]
_START = {"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"application/json")]}
_END = {"type": "http.response.body", "body": _BODY}


async def app(
    scope: dict[str, Any], receive: Callable[[], Awaitable[Any]], send: Callable[[Any], Awaitable[None]]
) -> None:
    """Read the whole body, answer as many bytes as a mock provider does."""
    if scope["type"] != "http":
        return
    while (await receive()).get("more_body"):
        pass
    await send(_START)
    await send(_END)


def main() -> None:
    """Serve with the settings of `neuralrouting serve`."""
    MPServer(
        "benches.gateway.bare_app:app",
        address="127.0.0.1",
        port=int(sys.argv[1]),
        workers=1,
        interface=Interfaces.ASGI,
        http=HTTPModes.http1,
        websockets=False,
        loop=Loops.uvloop,
        backlog=1024,
        backpressure=256,
        http1_settings=HTTP1Settings(header_read_timeout=5_000, max_buffer_size=32_768),
        log_access=False,
        log_enabled=False,
    ).serve()


if __name__ == "__main__":
    main()
