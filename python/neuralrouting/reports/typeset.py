"""Sets a report as a tagged PDF (PDF/UA-1) with typst, which is the extra `[reports]`."""

from importlib.resources import files
from importlib.util import find_spec

import orjson

from neuralrouting.errors import Unavailable
from neuralrouting.reports.month import MonthlyReport
from neuralrouting.reports.sheet import sheet_of

TEMPLATE = files("neuralrouting.reports") / "report.typ"
MISSING = "reports as PDF need typst: pip install 'neuralrouting[reports]'"


def installed() -> bool:
    """Whether there is something to set a PDF with."""
    return find_spec("typst") is not None


def typeset(report: MonthlyReport) -> bytes:
    """Return a report as PDF: A4, two to four pages. Raises Unavailable without typst.

    Data enter as JSON, which the template never reads as markup. Fonts are those inside typst, so the same report looks
    the same everywhere. It takes about 90 ms of the processor, off the interpreter's lock: run it in a thread.
    """
    try:
        import typst  # noqa: PLC0415  an extra
    except ModuleNotFoundError:
        raise Unavailable(MISSING, code="not_installed") from None

    def made(*, ascii_only: bool) -> bytes:
        sheet = orjson.dumps(sheet_of(report, ascii_only=ascii_only)).decode()
        return typst.compile(
            TEMPLATE.read_bytes(),
            format="pdf",
            ignore_system_fonts=True,
            sys_inputs={"sheet": sheet},
            pdf_standards=["ua-1"],
        )

    try:
        return made(ascii_only=False)
    except typst.TypstError:
        # Letters that have a glyph each may have none together.
        return made(ascii_only=True)
