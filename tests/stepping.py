"""Runs a coroutine and throws something into it at the place where it waits for the k-th time."""

from collections.abc import Coroutine, Generator
from typing import Any, Generic, TypeVar

T = TypeVar("T")


class Stepped(Generic[T]):
    """Awaits `work` and counts where it waits; at number `at` it raises `error` there instead of waiting."""

    def __init__(self, work: Coroutine[Any, Any, T], at: int | None = None, error: BaseException | None = None) -> None:
        self.work = work
        self.at = at
        self.error = error
        self.waits = 0
        self.hit = False

    def __await__(self) -> Generator[Any, Any, T]:
        thrown: BaseException | None = None
        while True:
            try:
                waited_for = self.work.send(None) if thrown is None else self.work.throw(thrown)
            except StopIteration as done:
                return done.value
            thrown = None
            self.waits += 1
            if self.waits == self.at:
                self.hit = True
                thrown = self.error
                continue  # what it waited for is never heard of again
            try:
                yield waited_for
            except BaseException as error:  # noqa: BLE001  handed on as it came
                thrown = error
