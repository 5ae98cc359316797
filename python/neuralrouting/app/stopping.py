"""What a worker does as soon as it is told to stop: its server waits for what is under way, and a tail has no end."""

import asyncio
import signal
import threading
from collections.abc import Callable, Generator
from contextlib import contextmanager
from types import FrameType

_SIGNALS = (signal.SIGTERM, signal.SIGINT)


@contextmanager
def at_stop(step: Callable[[], None]) -> Generator[None]:
    """Run a step on the running loop when a signal says stop, before whatever else that signal does.

    A signal that nobody handles is left alone: it ends the process. So is everything outside the main thread.
    """
    loop = asyncio.get_running_loop()
    main = threading.current_thread() is threading.main_thread()
    before = {number: handler for number in _SIGNALS if main and callable(handler := signal.getsignal(number))}

    def handle(number: int, frame: FrameType | None) -> None:
        loop.call_soon_threadsafe(step)
        before[signal.Signals(number)](number, frame)

    for number in before:
        _set(number, handle)
    try:
        yield
    finally:
        for number, handler in before.items():
            _set(number, handler)


def _set(number: signal.Signals, handler: Callable[[int, FrameType | None], object]) -> None:
    signal.signal(number, handler)
    signal.siginterrupt(number, False)  # noqa: FBT003  as event loops set it
