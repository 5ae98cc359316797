"""How the official clients reach the gateway under test."""

from typing import Protocol

import pytest


class Gateway(Protocol):
    """The running gateway, as the fixture of that name gives it."""

    url: str
    api_key: str
    test_key: str


@pytest.fixture(scope="session")
def base_url(gateway: Gateway) -> str:
    return f"{gateway.url}/v1"


@pytest.fixture(scope="session")
def api_key(gateway: Gateway) -> str:
    return gateway.api_key


@pytest.fixture(scope="session")
def test_key(gateway: Gateway) -> str:
    return gateway.test_key


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"
