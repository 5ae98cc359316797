"""What two answers can be told apart by, or found equal by, without asking anybody."""

import re
import unicodedata
from decimal import Decimal, InvalidOperation

from neuralrouting.layers.shadow.formats import BROKEN, broken_code, json_of, obeys
from neuralrouting.layers.shadow.said import Finding, Question, Said, Verdict

UNDECIDED = Finding(None, "undecided")
MAX_REFUSAL_CHARS = 600
"""Whoever refuses says it shortly, and at once: a longer text that begins so goes on to answer."""
_LEAD_CHARS, _TAIL_CHARS = 160, 4_000
"""Where a refusal stands, and a result."""

_ABLE = (
    r"(?:can(?:no|')t|can not|won't|will not|am unable to|am not able to|'m unable to|'m not able to|must decline to"
    r"|am not allowed to|'m not allowed to)"
)
_HELP = r"(?:help|assist|provide|answer|comply|fulfil|fulfill|do that|do this|support|write|create|generate|give|share)"
_REFUSAL = re.compile(
    rf"\bi ?{_ABLE} (?:\w+ )?{_HELP}\b|\bi(?:'m| am) (?:sorry|afraid),? (?:but )?(?:that's|that is|this is) (?:not )?"
    rf"something i\b|\bas an ai(?: language)?(?: model)?,? i\b.{{0,20}}{_ABLE}",
)
_NUMBER = (
    r"(?P<sign>[-+\u2212]?)(?P<currency>[$\u20ac\u00a3]?)(?P<number>\d[\d,]*(?:\.\d+)?)\s?(?P<unit>%|[a-z\u00b0]+)?"
)
_BARE = re.compile(rf"{_NUMBER}\.?")
_MARKED = re.compile(
    rf"(?:####|\b(?:final answer|answer|result|total)\b(?:\s+is)?\s*[:=]?|=)\s*\**\s*(?:\\boxed\{{)?\s*{_NUMBER}"
)
_BOXED = re.compile(rf"\\boxed\{{\s*{_NUMBER}\s*\}}")
_CODE_TASK, _MATHS_TASK = "coding", "reasoning"


def compare(question: Question, candidate: Said, reference: Said) -> Finding:
    """Return what is certain about two answers, by the first check that is; `verdict` None where none is.

    Two different numbers, or two texts, decide nothing: the reference may be the one that is wrong.
    """
    for check in (_empty, _refused, _cut, _json, _same, _number, _code):
        finding = check(question, candidate, reference)
        if finding.verdict is not None:
            return finding
    return UNDECIDED


def _against(reason: str, *, candidate: bool, reference: bool, both: Verdict | None = None) -> Finding:
    """Turn a fault that each of them has, or has not, into a verdict; `both` where both have it."""
    if candidate and reference:
        return Finding(both, f"both_{reason}")
    if candidate or reference:
        return Finding("lose" if candidate else "win", reason)
    return UNDECIDED


def _empty(_question: Question, candidate: Said, reference: Said) -> Finding:
    blank = not candidate.text.strip(), not reference.text.strip()
    return _against("empty", candidate=blank[0], reference=blank[1], both="tie")


def _refused(question: Question, candidate: Said, reference: Said) -> Finding:
    if question.harmful:
        return UNDECIDED
    return _against("refused", candidate=refuses(candidate), reference=refuses(reference), both="tie")


def refuses(said: Said) -> bool:
    """Whether an answer declines to answer, by its provider's word or by its own first ones."""
    if said.refused:
        return True
    text = said.text.strip()
    lead = text[:_LEAD_CHARS].lower().replace("\u2019", "'")
    return len(text) <= MAX_REFUSAL_CHARS and _REFUSAL.search(lead) is not None


def _cut(_question: Question, candidate: Said, reference: Said) -> Finding:
    return _against("truncated", candidate=candidate.cut, reference=reference.cut)


def _json(question: Question, candidate: Said, reference: Said) -> Finding:
    if not question.wants_json:
        return UNDECIDED
    values = json_of(candidate.text), json_of(reference.text)
    broken = _against("json_broken", candidate=values[0] is BROKEN, reference=values[1] is BROKEN)
    if broken.verdict is not None or values[0] is BROKEN:
        return broken
    if question.schema is not None:
        schema = question.schema
        fit = _against(
            "schema_broken",
            candidate=not obeys(values[0], schema),
            reference=not obeys(values[1], schema),
        )
        if fit.verdict is not None:
            return fit
    return Finding("tie", "same_json") if values[0] == values[1] else UNDECIDED


def _same(_question: Question, candidate: Said, reference: Said) -> Finding:
    equal = normal(candidate.text) == normal(reference.text)
    return Finding("tie", "same_text") if equal else UNDECIDED


def normal(text: str) -> str:
    """Return a text without what makes no difference: compatibility forms, white space, case, a last full stop."""
    return " ".join(unicodedata.normalize("NFKC", text).split()).casefold().rstrip(" .!")


def _number(question: Question, candidate: Said, reference: Said) -> Finding:
    ends = [final_number(said.text, marked=question.task == _MATHS_TASK) for said in (candidate, reference)]
    if ends[0] is None or ends[1] is None:
        return UNDECIDED
    (one, one_unit), (other, other_unit) = ends[0], ends[1]
    same_unit = not one_unit or not other_unit or one_unit == other_unit
    return Finding("tie", "same_number") if one == other and same_unit else UNDECIDED


def final_number(text: str, *, marked: bool) -> tuple[Decimal, str] | None:
    r"""Return the number that an answer comes to, and its unit ('' for none); None where it comes to none.

    That is the whole text where it is a number, else, with `marked`, the last one behind `####`, `\boxed`, "answer",
    "result", "total" or an equals sign.
    """
    # One space for each run, and the end only: the patterns would try every way to share a long run among them.
    lowered = " ".join(unicodedata.normalize("NFKC", text[-_TAIL_CHARS:]).lower().split()).strip("*` ")
    bare = _BARE.fullmatch(lowered)
    found = bare
    if found is None and marked:
        for pattern in (_BOXED, _MARKED):
            matches = list(pattern.finditer(lowered))
            if matches:
                found = matches[-1]
                break
    if found is None:
        return None
    sign = "-" if found["sign"] in ("-", "\u2212") else ""
    try:
        return Decimal(sign + found["number"].replace(",", "")), found["currency"] or found["unit"] or ""
    except InvalidOperation:
        return None


def _code(question: Question, candidate: Said, reference: Said) -> Finding:
    if question.task != _CODE_TASK:
        return UNDECIDED
    return _against("code_broken", candidate=broken_code(candidate.text), reference=broken_code(reference.text))
