"""`python -m neuralrouting.catalog PROVIDER... [--local NAME]`: prints the catalog of this configuration as JSON.

`serve` runs it once for all its workers: the price list takes a second and 90 MB, which no worker should hold.
"""

import argparse
import os
import sys

import msgspec

from neuralrouting.catalog import build_catalog
from neuralrouting.config import load
from neuralrouting.errors import ConfigError


def main() -> int:
    """Print the catalog; 1 and one line on stderr when the configuration forbids it."""
    parser = argparse.ArgumentParser(prog="python -m neuralrouting.catalog", description=__doc__)
    parser.add_argument("providers", nargs="*", help="names of the providers that can be called")
    parser.add_argument("--local", help="name of the local model, where one runs")
    told = parser.parse_args()
    try:
        catalog = build_catalog(load(None, os.environ), told.providers, told.local)
    except ConfigError as error:
        sys.stderr.write(f"{error.message}\n")
        return 1
    sys.stdout.buffer.write(msgspec.json.encode(catalog))
    return 0


if __name__ == "__main__":
    sys.exit(main())
