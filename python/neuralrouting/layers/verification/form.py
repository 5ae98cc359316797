"""Signs in an answer's form: JSON that was promised and is none, code that no parser reads, calls of no tool."""

import ast
import re
import textwrap
import warnings
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final, cast

import orjson

from neuralrouting.exchange import JsonObject
from neuralrouting.layers.verification.schema import fits

CODE_CHARS: Final = 4_000
"""Python that is parsed of one answer: about 0.4 ms for a thousand characters, on the event loop."""
_FENCE = re.compile(r"[ \t]*(`{3,}|~{3,})[ \t]*(\w*)")
_PYTHON: Final = frozenset(("python", "py", "python3"))
_NO_MODULE = re.compile(r"^\s*(?:>>>|\.\.\. |[!%?$]|In \[)|<[a-z_ ]+>|^\s*\.\.\.\s*$|import \.\.\.|…", re.MULTILINE)
"""Python that is not meant as a module: a session, a notebook's magic, a template with gaps."""
_UNFINISHED = re.compile(r":[ \t]*(?:#[^\n]*)?\s*\Z")
"""A block's head and nothing under it: shown for its own sake."""
_STRING = re.compile(r'"(?:[^"\\]|\\.)*"', re.DOTALL)
_MARKS = re.compile(r'[{}\[\]"]')
_PAIRS: Final = {"{": "}", "[": "]"}


def is_misshapen(text: str, json_mode: str, body: bytes) -> bool:
    """Whether an answer in JSON mode (`object` or `schema`) is not what the request's `response_format` asks for."""
    try:
        value: Any = orjson.loads(text)
    except orjson.JSONDecodeError:
        return True
    if json_mode == "object":
        return not isinstance(value, dict)
    schema = _at(_read(body), "response_format", "json_schema", "schema")
    return schema is not None and not fits(schema, value)


def is_wrong_call(calls: Any, body: bytes) -> bool:  # noqa: ANN401  any JSON
    """Whether one of these calls is of a tool that was not offered, or has arguments that it does not take."""
    offered = _at(_read(body), "tools")
    tools = {_at(tool, "function", "name"): _at(tool, "function", "parameters") for tool in _list(offered)}
    return any(_is_wrong(_at(call, "function"), tools) for call in _list(calls) if _at(call, "type") != "custom")


def is_broken_reply(text: str) -> bool:
    """Whether an answer that is free in its form holds Python that does not parse or JSON that does not close."""
    left = CODE_CHARS
    for kind, code in _fenced(text):
        if kind == "json" and is_unbalanced(code):
            return True
        if kind in _PYTHON and len(code) <= left:
            left -= len(code)
            if _is_no_python(code):
                return True
    stripped = text.strip()
    return stripped.startswith(('{"', "[{")) and is_unbalanced(stripped)


def is_unbalanced(text: str) -> bool:
    """Whether brackets of JSON, outside its strings, do not pair up; what is written between them is not read."""
    open_ones: list[str] = []
    for mark in _MARKS.findall(_STRING.sub("", text)):
        if mark in _PAIRS:
            open_ones.append(_PAIRS[mark])
        elif not open_ones or open_ones.pop() != mark:  # a quote here is one that nothing closes
            return True
    return bool(open_ones)


def _fenced(text: str) -> Iterator[tuple[str, str]]:
    """Yield language and content of each fenced block that is closed."""
    fence, kind, lines = "", "", list[str]()
    for line in text.splitlines(keepends=True) if "```" in text or "~~~" in text else ():
        found = _FENCE.match(line)
        if fence and line.strip() == fence:
            yield kind, "".join(lines)
            fence = ""
        elif fence:
            lines.append(line)
        elif found is not None:
            fence, kind, lines = found[1], found[2].lower(), []


def _is_no_python(code: str) -> bool:
    if _NO_MODULE.search(code) or _UNFINISHED.search(code):
        return False
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of escapes that Python will not know one day
            ast.parse(textwrap.dedent(code))
    except SyntaxError:
        return True
    except (ValueError, RecursionError, MemoryError):  # nothing that the parser can tell
        return False
    return False


def _is_wrong(function: Any, tools: Mapping[Any, Any]) -> bool:  # noqa: ANN401  any JSON
    name, told = _at(function, "name"), _at(function, "arguments")
    if not isinstance(name, str) or (tools and name not in tools):
        return True
    try:
        arguments: Any = orjson.loads(told) if isinstance(told, str) and told.strip() else {}
    except orjson.JSONDecodeError:
        return True
    schema = tools.get(name)
    return not isinstance(arguments, dict) or (schema is not None and not fits(schema, arguments))


def _read(body: bytes) -> Any:  # noqa: ANN401  any JSON
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError:  # the core reads numbers that this parser does not
        return None


def _at(value: Any, *names: str) -> Any:  # noqa: ANN401  any JSON
    """What stands under these names, one below the other; None where one is missing."""
    for name in names:
        value = cast("JsonObject", value).get(name) if isinstance(value, dict) else None
    return value


def _list(value: Any) -> Sequence[Any]:  # noqa: ANN401  any JSON
    return cast("Sequence[Any]", value) if isinstance(value, list) else ()
