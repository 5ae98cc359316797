"""The command line: `python -m benches.quality DIR`, which is `make quality DATA=DIR`."""

from pathlib import Path

import click
import orjson

from .facts import measure
from .page import render
from .weights import ROOT

_FACTS = ROOT / "target" / "quality.json"
_PAGE = ROOT / "docs" / "quality.md"


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("folder", metavar="DIR", required=False, type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--out", default=_PAGE, show_default=True, type=click.Path(dir_okay=False, path_type=Path))
@click.option("--facts", default=_FACTS, show_default=True, type=click.Path(dir_okay=False, path_type=Path))
@click.option(
    "--embedder",
    help="Folder of an ONNX sentence model: the cache is also measured with it deciding.",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
)
def main(folder: Path | None, out: Path, facts: Path, embedder: Path | None) -> None:
    """Measure shield, classifier, cache and routing on the labelled rows in DIR and write docs/quality.md.

    DIR holds `shield` (dev.jsonl, dev_obf.jsonl), `routing` (a_task_types, c_high_risk, b_*) and `cache` (fow_cache,
    adversarial, checklist_qqp, qqp). What was measured is kept as JSON; without DIR the page is written from that.
    """
    if folder is not None:
        facts.parent.mkdir(parents=True, exist_ok=True)
        facts.write_bytes(orjson.dumps(measure(folder, embedder), option=orjson.OPT_INDENT_2))
    out.write_text(render(orjson.loads(facts.read_bytes())))
    click.echo(f"wrote {out}")


if __name__ == "__main__":
    main(prog_name="python -m benches.quality")
