import asyncio
import logging

import pytest

from neuralrouting.background import Background, Complaints

pytestmark = pytest.mark.anyio
LOG = logging.getLogger("neuralrouting.test")


async def test_what_goes_on_in_the_background_has_ended_once_it_is_closed():
    ended: list[str] = []

    async def for_ever(name: str) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0)  # tidying up may take a turn
            ended.append(name)

    background = Background()
    background.start(one=for_ever("one"), other=for_ever("other"))
    await asyncio.sleep(0)
    await background.close()
    assert sorted(ended) == ["one", "other"]
    await background.close()


def test_a_complaint_is_said_once_and_again_when_it_was_well_in_between(caplog: pytest.LogCaptureFixture):
    complaints = Complaints(LOG)
    for _ in range(3):
        complaints.say("database", "it is away")
    complaints.say("file", "it is gone")
    assert complaints.settle("database")
    assert not complaints.settle("database")
    complaints.say("database", "it is away")
    assert caplog.messages == ["it is away", "it is gone", "it is away"]
