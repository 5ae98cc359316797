"""The clock on the wall, as rows and figures tell time."""

import time


def unix_ms() -> int:
    """Return Unix time in milliseconds."""
    return time.time_ns() // 1_000_000
