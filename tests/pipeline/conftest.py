"""Tills for requests that meet each other."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from conducted import under_way

from till import Build, Till, opened_tills


@pytest.fixture
async def build(tmp_path: Path) -> AsyncIterator[Build]:
    """Make a till of these parts; at the end nothing may be held, and nobody under way."""
    made: list[Till] = []
    async with opened_tills(tmp_path) as build:

        async def kept(**parts: object) -> Till:
            made.append(await build(**parts))
            return made[-1]

        yield kept
        for till in made:
            assert under_way(till) == 0
            await till.bank.flush()
            await till.nothing_is_held()
