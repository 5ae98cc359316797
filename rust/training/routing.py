"""Trains the shipped heads: `python rust/training/routing.py DATA_DIR rust/weights`, DATA_DIR with rows of outcomes.

Build the native module first, and again afterwards: it holds the word lists that the heads fit and then the heads.
"""

import hashlib
import json
import sys
from pathlib import Path

import numpy as np

from neuralrouting.engine import ROUTE_BLOCKS
from neuralrouting.evidence.ridge import PENALTY, PRIORS, Rows, fit, packed

MAGIC = b"NRP1"
LISTS = ("rust/src/classify/lexicon.txt", "rust/src/classify/risk.txt")
SMALL, MID = "small", "mid"
# (head, file, cheap models, premium models); the mean of each group's quality is compared.
SOURCES = (
    (SMALL, "b_zeroeval_gateway_tiers", ("llama-3.1-8b",), ("gpt-4o",)),
    (SMALL, "b_routellm_mmlu", ("mixtral-8x7b",), ("gpt-4-1106",)),
    (SMALL, "b_routellm_gsm8k", ("mixtral-8x7b",), ("gpt-4-1106",)),
    (SMALL, "b_mmlupro", ("llama-3.1-8b",), ("llama-3.1-70b",)),
    (SMALL, "b_bfcl", ("llama-3-8b",), ("claude-3.5-sonnet",)),
    (MID, "b_zeroeval_gateway_tiers", ("llama-3.1-70b", "gpt-4o-mini"), ("gpt-4o", "claude-3.5-sonnet-1022")),
    (MID, "b_bfcl", ("llama-3-70b", "gpt-4o-mini"), ("claude-3.5-sonnet",)),
)
PERMISSIVE = ("MIT", "Apache-2.0", "CC BY 4.0", "CC-BY-4.0")


def main(data: Path, out: Path) -> None:
    """Write routing.bin and routing.toml."""
    fingerprint = hashlib.sha256(b"".join(Path(name).read_bytes() for name in LISTS)).digest()
    file, notes = MAGIC + fingerprint, []
    for head in (SMALL, MID):
        prompts, targets = [], []
        for source in (source for source in SOURCES if source[0] == head):
            rows = read(data / f"{source[1]}.jsonl", source)
            prompts += [prompt for prompt, _ in rows]
            targets += [difference for _, difference in rows]
            notes.append(provenance(source, rows))
        model = fit(Rows.of(prompts), np.array(targets)[:, None])
        file += packed(model.weights[: ROUTE_BLOCKS[PRIORS], 0], float(model.bias[0]), PRIORS)
    (out / "routing.bin").write_bytes(file)
    (out / "routing.toml").write_text(card(file, notes))


def read(path: Path, source: tuple) -> list[tuple[str, float]]:
    """Prompts with premium's answers and cheap ones', as differences; rows under other licences are refused."""
    _, _, cheap, premium = source
    rows = []
    for line in path.read_text().strip().split("\n"):
        row = json.loads(line)
        if not row["licence"].startswith(PERMISSIVE):
            raise SystemExit(f"{path}: licence {row['licence']!r} may not teach shipped weights")
        answers = row["models"]
        if all(name in answers for name in (*cheap, *premium)):
            worth = [np.mean([answers[name]["q"] for name in group]) for group in (cheap, premium)]
            rows.append((row["prompt"], float(worth[0] - worth[1])))
    return rows


def provenance(source: tuple, rows: list) -> str:
    """One [[source]] of the card."""
    head, name, cheap, premium = source
    licence = {"b_bfcl": "Apache-2.0", "b_mmlupro": "Apache-2.0; MMLU-Pro MIT"}.get(name, "Apache-2.0; sets MIT")
    mean = np.mean([difference for _, difference in rows])
    return (
        f'\n[[source]]\nhead = "{head}"\nname = "{name}"\nrows = {len(rows)}\ncheap = {json.dumps(cheap)}\n'
        f'premium = {json.dumps(premium)}\nmean_difference = {mean:.4f}\nlicence = "{licence}"\n'
    )


def card(file: bytes, notes: list[str]) -> str:
    """Where the file comes from."""
    return (
        "# Where routing.bin comes from; written by rust/training/routing.py.\n"
        f'sha256 = "{hashlib.sha256(file).hexdigest()}"\nbytes = {len(file)}\n'
        'command = "python rust/training/routing.py DATA_DIR rust/weights"\n'
        f'method = "ridge, penalty {PENALTY:g}, mean of three mixes of blocks; int8. No randomness: no seed"\n'
        + "".join(notes)
    )


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
