"""Made-up traffic: a store as a gateway would have left it after weeks of work, the same for the same seed.

    python -m benches.million --requests 1000000 --data-dir /tmp/million
    python -m benches.million --url postgresql://...

Everything is computed by the gateway's own functions, so that `neuralrouting audit verify` finds nothing wrong. Start
reading at `seeding` (what is written), then `customers` (who asks) and `traffic` (what they ask).
"""

from .customers import ACCOUNTS
from .seeding import Seeded, seed

__all__ = ["ACCOUNTS", "Seeded", "seed"]
