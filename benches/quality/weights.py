"""What is known of the weights that ship: their hash, and which sources taught them."""

import hashlib
import tomllib
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent
WEIGHTS = ROOT / "rust" / "weights"


def sha256(name: str) -> str:
    """Return the hash of a file of weights."""
    return hashlib.sha256((WEIGHTS / name).read_bytes()).hexdigest()


def taught(name: str) -> set[str]:
    """Return the sources that taught `shield` or `classify`."""
    provenance = tomllib.loads((WEIGHTS / f"{name}.toml").read_text())
    return {source["name"] for source in provenance["source"]}
