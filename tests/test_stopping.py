"""What a worker does first when it is told to stop."""

import asyncio
import signal
import subprocess
import sys

import pytest

from neuralrouting.app.stopping import at_stop

CHILD = """
import asyncio, signal
from neuralrouting.app.stopping import at_stop

async def main():
    loop, over = asyncio.get_running_loop(), asyncio.Event()
    loop.add_signal_handler(signal.SIGTERM, lambda: (print("the server's own", flush=True), over.set()))
    with at_stop(lambda: print("ours", flush=True)):
        print("ready", flush=True)
        await over.wait()
        await asyncio.sleep(0)

asyncio.run(main())
"""


@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
def test_the_step_runs_and_the_signal_does_what_it_did(loop: str):
    code = CHILD if loop == "asyncio" else CHILD.replace("asyncio.run(", "import uvloop; uvloop.run(")
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    process.send_signal(signal.SIGTERM)
    said, _ = process.communicate(timeout=20)
    assert sorted(said.splitlines()) == ["ours", "the server's own"]
    assert process.returncode == 0


@pytest.mark.anyio
async def test_signals_are_as_before_afterwards():
    before = [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)]
    with at_stop(lambda: None):
        await asyncio.sleep(0)
    assert [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)] == before
