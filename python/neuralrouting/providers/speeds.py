"""How fast each deployment has been lately: moving averages of time to first token and tokens per second."""

import msgspec

WEIGHT = 0.2
"""Share of the newest sample: the last ten answers make up 89 % of the average."""


class Speed(msgspec.Struct, frozen=True):
    """Moving averages of one deployment in this worker."""

    ttft_us: float
    tokens_per_s: float
    samples: int


class Speeds:
    """Measured speed and recent failure of each deployment, in this worker's memory."""

    def __init__(self) -> None:
        self._speeds: dict[str, Speed] = {}
        self._cooling: dict[str, float] = {}

    def of(self, deployment: str) -> Speed | None:
        """Return what was measured, None where nothing was yet."""
        return self._speeds.get(deployment)

    def expected_latency_us(self, deployment: str, completion_tokens: int) -> float | None:
        """Microseconds to the last of so many tokens; None where nothing was measured."""
        speed = self._speeds.get(deployment)
        if speed is None:
            return None
        return speed.ttft_us + completion_tokens / max(speed.tokens_per_s, 0.001) * 1_000_000

    def learn(self, deployment: str, ttft_us: int | None, completion_tokens: int, generation_us: int) -> None:
        """Take one good answer into account; `ttft_us` None where it came whole, `generation_us` from there on."""
        self._cooling.pop(deployment, None)
        rate = completion_tokens / (max(generation_us, 1) / 1_000_000)
        old = self._speeds.get(deployment)
        if old is None:
            self._speeds[deployment] = Speed(float(ttft_us or 0), rate, 1)
            return
        ttft = old.ttft_us if ttft_us is None else old.ttft_us + WEIGHT * (ttft_us - old.ttft_us)
        faster = old.tokens_per_s + WEIGHT * (rate - old.tokens_per_s)
        self._speeds[deployment] = Speed(ttft, faster, old.samples + 1)

    def cool(self, deployment: str, until_s: float) -> None:
        """Prefer others until `until_s` on the monotonic clock."""
        self._cooling[deployment] = until_s

    def cooling(self, deployment: str, now_s: float) -> bool:
        """Whether a recent failure makes others preferable."""
        until_s = self._cooling.get(deployment)
        return until_s is not None and now_s < until_s
