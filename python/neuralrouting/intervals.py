"""How far a measured rate can be trusted."""

import math

Z_95 = 1.959964
"""Standard normal quantile of a two-sided 95 % interval."""


def wilson(hits: int, n: int) -> tuple[float, float]:
    """Return the 95 % Wilson interval of a rate, which holds for few rows and rates near 0 and 1; all for no rows."""
    if n == 0:
        return 0.0, 1.0
    rate, square = hits / n, Z_95 * Z_95
    middle = rate + square / (2 * n)
    reach = Z_95 * math.sqrt(rate * (1 - rate) / n + square / (4 * n * n))
    scale = 1 + square / n
    return max(0.0, (middle - reach) / scale), min(1.0, (middle + reach) / scale)


def percentile(values: list[float], share: float) -> float:
    """Return the smallest value that this share (0 to 1) of all does not exceed; 0.0 for none."""
    if not values:
        return 0.0
    return sorted(values)[max(0, math.ceil(share * len(values)) - 1)]
