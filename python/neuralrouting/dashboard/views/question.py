"""What is typed in the playground, as the body and headers of a request; and the same request as a command."""

import json
import shlex
from typing import Final

import msgspec

from neuralrouting.catalog import VIRTUAL_MODELS
from neuralrouting.dashboard.page import Form
from neuralrouting.errors import InvalidField
from neuralrouting.exchange import JsonObject

FIELDS: Final = ("system", "prompt", "model", "mode", "user", "feature", "cascade", "cache")


class Question(msgspec.Struct, frozen=True):
    """One prompt and how it is to be answered; `told` are headers of ours by their names in lower case."""

    system: str | None
    prompt: str
    model: str
    told: dict[str, str]

    def fields(self) -> JsonObject:
        """Return the fields of the request."""
        messages = [{"role": "user", "content": self.prompt}]
        if self.system is not None:
            messages.insert(0, {"role": "system", "content": self.system})
        return {"model": self.model, "messages": messages}

    def body(self, *, stream: bool) -> bytes:
        """Return the request as JSON."""
        more = {"stream": True, "stream_options": {"include_usage": True}} if stream else {}
        return msgspec.json.encode(self.fields() | more)

    def headers(self) -> dict[str, str]:
        """Return the headers that go with it."""
        return self.told


def question_of(form: Form) -> Question:
    """Read the form. Raises InvalidField without a prompt; words that are wrong are told by who obeys them."""
    if "prompt" not in form:
        raise InvalidField("type a prompt", param="prompt")
    told = {
        "x-routing-mode": form.get("mode"),
        "x-nr-user": form.get("user"),
        "x-nr-feature": form.get("feature"),
        "x-nr-cascade": {"yes": "true", "no": "false"}.get(form.get("cascade", "")),
        "cache-control": "no-cache" if form.get("cache") == "no" else None,
    }
    headers = {name: value for name, value in told.items() if value is not None}
    lines = {name: form[name].replace("\r\n", "\n") for name in ("system", "prompt") if name in form}
    return Question(lines.get("system"), lines["prompt"], form.get("model", VIRTUAL_MODELS[0]), headers)


def commands(question: Question, address: str) -> JsonObject:
    """Return the same request as a command of curl and as a program of Python; the key is taken from NR_KEY."""
    fields = question.fields()
    return {"curl": _curl(question, fields, address), "python": _python(question, fields, address)}


def _curl(question: Question, fields: JsonObject, address: str) -> str:
    told = ["Content-Type: application/json", *(f"{name}: {value}" for name, value in question.told.items())]
    lines = [
        f"curl {shlex.quote(f'{address}/v1/chat/completions')}",
        '-H "Authorization: Bearer $NR_KEY"',
        *(f"-H {shlex.quote(one)}" for one in told),
        f"-d {shlex.quote(json.dumps(fields, ensure_ascii=False))}",
    ]
    return " \\\n  ".join(lines)


def _python(question: Question, fields: JsonObject, address: str) -> str:
    told = f"    extra_headers={question.told!r},\n" if question.told else ""
    messages = "".join(f"        {message!r},\n" for message in fields["messages"])
    return (
        "import os\n\nfrom openai import OpenAI\n\n"
        f'client = OpenAI(base_url={f"{address}/v1"!r}, api_key=os.environ["NR_KEY"])\n'
        "answer = client.chat.completions.create(\n"
        f"    model={fields['model']!r},\n    messages=[\n{messages}    ],\n{told})\n"
        "print(answer.choices[0].message.content)\n"
    )
