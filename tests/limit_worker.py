"""One worker of the tests of rate limits, in a process of its own: `python limit_worker.py DIRECTORY WHAT ...`."""

import json
import sys
import time

from neuralrouting.engine import Limits, Permit


def say(what: object) -> None:
    sys.stdout.write(f"{what}\n")
    sys.stdout.flush()


def hammer(limits: Limits, per_minute: int, until_s: float) -> None:
    """Ask until the time is up; print how many were let in."""
    admitted = 0
    while time.monotonic() < until_s:
        admitted += isinstance(limits.enter([("hammered", per_minute, None)]), Permit)
    say(json.dumps(admitted))


def witness(limits: Limits, per_minute: int) -> None:
    """Ask without end; print a line for each that is let in, before anything else can happen."""
    say("ready")
    while True:
        if isinstance(limits.enter([("witnessed", per_minute, 1000)]), Permit):
            say("in")


def hold(limits: Limits, places: int) -> None:
    """Take places and keep them until killed."""
    held = [limits.enter([("held", None, places)]) for _ in range(places)]
    say(sum(isinstance(one, Permit) for one in held))
    time.sleep(60)


def full_disk(directory: str) -> None:
    """Print what is said when files cannot grow."""
    import resource  # noqa: PLC0415  not on every system

    limits = Limits(directory)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100, 100))
    try:
        limits.enter([("a", 5, None)])
    except OSError as error:
        say(json.dumps([error.errno, str(error)]))


if __name__ == "__main__":
    directory, what, *numbers = sys.argv[1:]
    if what == "full_disk":
        full_disk(directory)
    elif what == "hammer":
        hammer(Limits(directory), int(numbers[0]), float(numbers[1]))
    else:
        {"witness": witness, "hold": hold}[what](Limits(directory), int(numbers[0]))
