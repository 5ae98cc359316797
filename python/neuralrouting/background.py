"""Work that goes on behind the requests of one worker, and what it says of itself."""

import asyncio
import logging
from collections.abc import Callable, Coroutine
from typing import Final

from neuralrouting.engine import panicked
from neuralrouting.errors import Unavailable


class Background:
    """The tasks of one part: begun together, ended together."""

    def __init__(self) -> None:
        self._tasks: list[asyncio.Task[None]] = []

    def start(self, **steps: Coroutine[None, None, None]) -> None:
        """Begin each of these in a task of its name; needs a running event loop."""
        loop = asyncio.get_running_loop()
        self._tasks += [loop.create_task(step, name=name) for name, step in steps.items()]

    async def close(self) -> None:
        """End them where they stand, and wait until they have ended; does nothing when there are none."""
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)
        self._tasks = []


class Complaints:
    """Says what is wrong once, not every time, and again when it was well in between."""

    def __init__(self, log: logging.Logger) -> None:
        self.log: Final = log
        self._said: dict[str, str] = {}

    def say(self, about: str, what: str) -> None:
        """Say what is wrong with something, unless that was said last."""
        if self._said.get(about) != what:
            self._said[about] = what
            self.log.warning("%s", what)

    def settle(self, about: str) -> bool:
        """Note that something is well; return whether it was not."""
        return self._said.pop(about, None) is not None


async def again(
    about: str, step: Callable[[], Coroutine[None, None, float]], complaints: Complaints, trouble: str, retry_s: float
) -> None:
    """Run a step for ever; it says after how many seconds it wants to run again, `retry_s` if it failed.

    A database that is away is a complaint, `trouble`; a mistake of ours, or a panic of the core, is told with its
    traceback. Neither ends the loop: what it follows would never be followed again.
    """
    while True:
        wait_s = retry_s
        try:
            wait_s = await step()
        except Unavailable as error:
            complaints.say(about, f"{trouble}: {error.message}")
        except BaseException as error:
            if not isinstance(error, Exception) and not panicked(error):
                raise
            complaints.log.exception("%s; trying again", trouble)
        else:
            complaints.settle(about)
        await asyncio.sleep(wait_s)
