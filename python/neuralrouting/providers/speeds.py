"""How fast each deployment has been lately: moving averages of time to first token and time per token."""

import msgspec

WEIGHT = 0.2
"""Share of the newest sample: the last ten answers make up 89 % of the average."""


class Speed(msgspec.Struct, frozen=True):
    """Moving averages of one deployment in this worker; None where nothing has told yet.

    Times are averaged, not rates: one answer that came in a single burst would lift an average rate out of all reason.
    """

    ttft_us: float | None
    token_us: float | None
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
        """Microseconds to the last of so many tokens; None where no answer with tokens was measured."""
        speed = self._speeds.get(deployment)
        if speed is None or speed.token_us is None:
            return None
        return (speed.ttft_us or 0.0) + completion_tokens * speed.token_us

    def learn(self, deployment: str, ttft_us: int | None, completion_tokens: int, generation_us: int) -> None:
        """Take one good answer into account; `ttft_us` None where it came whole, `generation_us` from there on."""
        self._cooling.pop(deployment, None)
        old = self._speeds.get(deployment) or Speed(None, None, 0)
        token_us = generation_us / completion_tokens if completion_tokens > 0 else None
        self._speeds[deployment] = Speed(
            _average(old.ttft_us, ttft_us), _average(old.token_us, token_us), old.samples + 1
        )

    def cool(self, deployment: str, until_s: float) -> None:
        """Prefer others until `until_s` on the monotonic clock; a lesser failure does not shorten a longer rest."""
        self._cooling[deployment] = max(until_s, self._cooling.get(deployment, until_s))

    def cooling(self, deployment: str, now_s: float) -> bool:
        """Whether a recent failure makes others preferable."""
        until_s = self._cooling.get(deployment)
        return until_s is not None and now_s < until_s

    @property
    def seen(self) -> set[str]:
        """Every deployment that has answered or failed in this worker."""
        return self._speeds.keys() | self._cooling.keys()


def _average(old: float | None, sample: float | None) -> float | None:
    if sample is None:
        return old
    return float(sample) if old is None else old + WEIGHT * (sample - old)
