"""Signs in an answer's words: that it is none, or that it takes back what it said."""

import re
from typing import Final

SHORT_CHARS: Final = 400
"""A refusal is short. What goes on for longer may begin with a reservation and still be an answer."""
_START_CHARS: Final = 240
_WORDS_OF_OTHERS: Final = frozenset(("creative", "rewriting", "translation"))
"""Tasks in which a text may say `I` without meaning the model."""

_THOUGHTS = re.compile(r"<(think|thinking|reasoning)>.*?(?:</\1>|\Z)", re.DOTALL | re.IGNORECASE)
_SENTENCE = re.compile(r"[^.!?;\n]+")
_REGRET = (
    r"(?:no,\s+)?(?:(?:(?:i'm|i am|we're|we are) (?:so |very |really |truly )?sorry|sorry|(?:my )?apologies"
    r"|i apologi[sz]e"
    r"|i'm afraid|i am afraid|i regret|unfortunately|regrettably)(?: for [^,]{1,40})?[,;:]?\s+"
    r"(?:but\s+|that\s+|however,?\s+)?)?"
)
_MODEL = r"(?:as (?:an? )?(?:ai|artificial intelligence|(?:large )?language model|virtual assistant)\b[^,]*,\s*)"
_CANNOT = (
    r"i(?: (?:can't|cannot|can not|could not|couldn't|(?:won't|will not)(?: be able to)?|am unable to|am not able to)"
    r"|'m (?:unable|not able) to)\s+"
)
_FIGURE_OF_SPEECH = (
    r"(?!wait\b|stress\b|emphasi[sz]e\b|overstate\b|imagine\b|believe\b|help but\b|thank\b|make it\b|agree\b"
    r"|say enough\b)"
)
"""What nobody can do and everybody says."""
_DECLINES = re.compile(
    rf"{_REGRET}{_MODEL}?(?:{_CANNOT}{_FIGURE_OF_SPEECH}"
    r"|i (?:must|have to|need to) (?:respectfully )?decline"
    r"|i (?:don't|do not) know\b(?! how\b)"
    r"|i (?:don't|do not) have (?:the (?:ability|capability)|access to|enough (?:information|context)|personal"
    r"|real-time|any (?:information|data)|an? (?:definite |clear )?answer)"
    r"|i have no (?:information|knowledge|access|data|way to)\b|i decline\b"
    r"|i (?:don't|do not|did not|didn't) (?:possess|understand (?:the|your) question)\b"
    r"|i(?: am|'m) (?:not sure|not certain|(?:just )?an? (?:ai|language model)\b)"
    r"|(?:i would|i'd) (?:rather|prefer) not\b"
    r"|i(?: am|'m) not (?:capable of|comfortable|allowed to|permitted to|programmed to|designed to)\b"
    r"|(?:this|that|your) (?:request|question|topic) (?:goes against|violates|is (?:beyond|outside))\b"
    r"|(?:this|that|it)(?: is|'s) (?:not something|something) i (?:can|can't|cannot)\b"
    r"|(?:this|that|it)(?: is|'s) (?:beyond|outside)(?: of)? (?:my|what i)\b"
    r"|it (?:is|would be|wouldn't be|is not|isn't) (?:in)?appropriate for me\b"
    r"|(?:es )?tut mir leid[,.]?\s+(?:aber\s+)?(?:ich kann|dabei kann ich|das kann ich|ich darf)\b"
    r"|(?:das |dabei |damit |dazu )?kann ich (?:dir |ihnen |das )?(?:dabei |damit |dazu )?leider (?:nicht|keine)"
    r"|leider kann ich (?:dir |ihnen |das )?(?:dabei |damit |dazu )?(?:nicht|keine)"
    r"|(?:je suis )?désolée?,?\s+(?:mais\s+)?je ne (?:peux|suis)\b"
    r"|je ne peux pas (?:vous |t'|te )?(?:aider|répondre)"
    r"|(?:(?:lo siento|lamento),?\s+(?:pero\s+)?no puedo|no puedo (?:ayudarte|ayudarle|responder))\b"
    r"|mi dispiace,?\s+(?:ma\s+)?non posso\b"
    r"|(?:sinto muito|desculpe),?\s+(?:mas\s+)?não posso\b)",
    re.IGNORECASE,
)
_SPEAKS_AS_MODEL = re.compile(
    rf"{_REGRET}{_MODEL}i (?:can't|cannot|can not|don't|do not|am not|am unable)", re.IGNORECASE
)
_DECLINES_TO_WRITE = re.compile(
    rf"{_REGRET}{_CANNOT}(?:help|assist|fulfil+|comply|generate|create|write|continue)\s+(?:you\s+)?(?:with\s+)?"
    r"(?:that|this|your request|the request|such)\b",
    re.IGNORECASE,
)

_TAKES_BACK = re.compile(
    r"(?:^|[.!?\n])\W{0,3}(?:"
    r"wait,? (?:actually|no|that's not|that is not|that isn't|let me)"
    r"|(?:oops|hmm),? (?:that's|that is|i made|let me)"
    r"|actually,? (?:that's|that is|this is|my (?:previous |earlier )?(?:answer|calculation) (?:is|was)) "
    r"(?:wrong|incorrect|not (?:right|correct))"
    r"|(?:sorry,? )?i (?:made|have made) (?:a|an) (?:\w+ )?(?:mistake|error)"
    r"|scratch that"
    r"|let me (?:re-?check|re-?calculate|re-?do|re-?consider|correct (?:that|this|myself|my))"
    r"|i need to correct (?:that|myself|my)"
    r")",
    re.IGNORECASE,
)
_STATED = re.compile(
    r"(?:final answer|correct answer|the answer)\s*(?:is|:|=)\s*\W{0,6}?"
    r"(-?\d(?:[\d,]*\d)?(?:\.\d+)?|\(?[b-e]\)?(?=[\s.,;:*)]|$))",
    re.IGNORECASE,
)
_SPACES = re.compile(r"\s{2,}")
_LISTED = re.compile(r"^[ \t]*(?:\(?[a-h]\)|\d+[.)]|[-*•])[ \t]", re.MULTILINE)


def without_thoughts(text: str) -> str:
    """Leave out what a reasoning model thought aloud before its answer: it may doubt there as much as it likes."""
    return _THOUGHTS.sub("", text) if "<" in text else text


def refuses(text: str, prompt: str, task: str) -> bool:
    """Whether a short answer declines to answer, in its first sentences.

    Not where the prompt has the same words: then they are what was asked for.
    """
    said = text.strip().replace("\u2019", "'")
    if len(said) > SHORT_CHARS:
        return False
    patterns = (_SPEAKS_AS_MODEL, _DECLINES_TO_WRITE) if task in _WORDS_OF_OTHERS else (_DECLINES, _SPEAKS_AS_MODEL)
    if task == "translation":
        patterns = (_SPEAKS_AS_MODEL,)
    asked = prompt.replace("\u2019", "'").lower()
    for sentence in _SENTENCE.findall(said[:_START_CHARS])[:2]:
        for pattern in patterns:
            found = pattern.match(sentence.strip(" *_#>"))
            if found is not None and found.group().lower() not in asked:
                return True
    return False


def contradicts_itself(text: str, prompt: str, task: str) -> bool:
    """Whether an answer takes back what it said, or states two different results of one question."""
    if task in _WORDS_OF_OTHERS:
        return False
    said = _SPACES.sub(_one_space, text.replace("\u2019", "'"))
    found = _TAKES_BACK.search(said)
    if found is not None and found.group().strip(" .!?\n*_").lower() not in prompt.replace("\u2019", "'").lower():
        return True
    stated = {match.strip("()").replace(",", "").lower() for match in _STATED.findall(said)}
    return len(stated) > 1 and prompt.count("?") < 2 and len(_LISTED.findall(prompt)) < 2


def _one_space(found: re.Match[str]) -> str:
    """One line end or space for many: patterns would try each of them."""
    return "\n" if "\n" in found.group() else " "
