"""`python -m benches.hostile`: no text may be much slower to scan than prose. Exit code 1 when one is."""

import sys

from neuralrouting.engine import Shield

from .timing import costs


def main() -> int:
    measured = costs(Shield())
    print(f"{'1 MB of':24}{'ms':>8}{'x prose':>9}{'x half':>8}")
    for cost in measured:
        print(f"{cost.name:24}{cost.ms:8.1f}{cost.slowdown:9.2f}{cost.doubling:8.2f}")
    faults = [fault for cost in measured for fault in cost.faults()]
    for fault in faults:
        print(f"broken: {fault}", file=sys.stderr)
    return bool(faults)


if __name__ == "__main__":
    sys.exit(main())
