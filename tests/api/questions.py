"""Questions that mean the same in other words, each asked in a place where nobody else has asked anything."""

from dataclasses import dataclass
from typing import Any

import httpx
from conversation import CHAT, Json
from staging import Stage

from cache_told import Answered
from fake_upstream import Entry, Recorded

QUESTION = "What is the boiling point of mercury?"
CANONICAL = "whats the boiling point of MERCURY"
"""The same text but for case, punctuation and contraction."""
STAIN, IN_OTHER_WORDS = "How do I remove a coffee stain from a carpet?", "How can I remove coffee stains from a carpet?"
"""The same question, found by what it means: the words of weight are the same. Their cosine is 0.97."""
PIANO, PIANO_AGAIN = "How can I learn to play the piano?", "How do I learn to play the piano?"
"""The same question again, of cosine 1: only words of no weight differ."""
VIOLIN = "How can I learn to play the violin?"


@dataclass(frozen=True)
class Place:
    """A system prompt of its own, which is a scope of its own: whatever is asked here, nobody has asked before."""

    stage: Stage
    name: str

    def body(self, text: object, **fields: object) -> Json:
        messages = [{"role": "system", "content": self.name}, {"role": "user", "content": text}]
        return {"model": "m", "messages": messages, **fields}

    def ask(
        self,
        client: httpx.Client,
        text: object,
        path: str = CHAT,
        headers: dict[str, str] | None = None,
        **fields: Any,  # noqa: ANN401  members of the body
    ) -> httpx.Response:
        return client.post(path, json=self.body(text, **fields), headers=headers)

    @property
    def calls(self) -> list[Recorded]:
        """What the provider was asked here."""
        return self.stage.calls(self.name)


def new_place(stage: Stage, entry: Entry | None = None) -> Place:
    """Make a place; the provider answers whatever is asked there with `answer to NAME`, unless told."""
    return Place(stage, stage.prompt(entry))


def parts(response: Answered) -> dict[str, str]:
    """What `x-nr-cache` says, by name; what it begins with is the `level`."""
    level, *rest = response.headers["x-nr-cache"].split("; ")
    told = {name: value for name, _, value in (part.partition("=") for part in rest)}
    assert len(told) == len(rest)
    return {"level": level, **told}
