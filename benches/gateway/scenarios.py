"""What is measured: how requests are made, over how many connections, and which servers are compared."""

import msgspec

BARE, GATEWAY, DIRECT, TENSORZERO = "bare app", "gateway", "mock", "tensorzero"


class Scenario(msgspec.Struct, frozen=True):
    """One kind of traffic. `targets` run one after the other in every round; one that does not run is left out."""

    name: str
    connections: int
    targets: tuple[str, ...]
    unique: bool = True
    stream: bool = False
    headers: tuple[tuple[str, str], ...] = ()
    upstream_calls: int = 1
    """Per request that passes a gateway; checked against the mock's own count."""

    def calls_expected(self, target: str) -> int:
        """Return how often one request to this target must reach the mock."""
        return {BARE: 0, DIRECT: 1}.get(target, self.upstream_calls)


SCENARIOS = (
    Scenario("pass-through", 64, (BARE, GATEWAY, TENSORZERO)),
    Scenario("no-store", 64, (GATEWAY,), headers=(("cache-control", "no-store"),)),
    Scenario("exact hit", 64, (BARE, GATEWAY), unique=False, upstream_calls=0),
    Scenario("stream", 16, (DIRECT, GATEWAY, TENSORZERO), stream=True),
    Scenario("one connection", 1, (DIRECT, GATEWAY, TENSORZERO)),
)
