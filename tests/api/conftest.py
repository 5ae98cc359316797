"""Two gateways to ask: one in which everything is simulated, and one whose provider is scripted."""

from collections.abc import Iterator

import httpx
import pytest
from staging import Stage, set_stage

from live_gateway import LiveGateway


@pytest.fixture(scope="session")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    """A gateway with a scripted provider, for everything that the simulated one cannot show."""
    with set_stage(tmp_path_factory.mktemp("stage")) as stage:
        yield stage


@pytest.fixture(scope="session")
def client(gateway: LiveGateway) -> Iterator[httpx.Client]:
    """A client of the gateway in which everything is simulated."""
    with gateway.client() as client:
        yield client


@pytest.fixture(scope="session")
def on_stage(stage: Stage) -> Iterator[httpx.Client]:
    """A client of the gateway with the scripted provider."""
    with stage.gateway.client() as client:
        yield client
