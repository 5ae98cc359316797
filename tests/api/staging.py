"""A stage: a gateway in front of a provider that says to each prompt what the test wrote for it."""

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from conversation import new_prompt

from fake_replies import Answer
from fake_upstream import Entry, FakeUpstream, Recorded, Reply, refused_url
from live_gateway import LiveGateway, running_gateway

PRICES = 'input_usd_per_mtok: "1", output_usd_per_mtok: "2"'
CONFIG = """
local: {{enabled: "off"}}
upstream: {{idle_timeout_s: 20}}
server: {{body_timeout_s: 1}}
providers:
  scripted: {{base_url: "{url}"}}
  spare: {{base_url: "{url}/spare"}}
  dead: {{base_url: "{dead}"}}
models:
  - {{model: m, provider: scripted, context_tokens: 8000, tools: true, vision: true, json_schema: true, {prices}}}
  - {{model: free-of-price, provider: scripted, context_tokens: 8000, tools: true, tier: medium}}
  - {{model: failing, provider: dead, context_tokens: 8000, {prices}, tier: medium}}
  - {{model: two-homes, provider: dead, context_tokens: 8000, tier: medium,
      input_usd_per_mtok: "0.5", output_usd_per_mtok: "0.5"}}
  - {{model: two-homes, provider: spare, context_tokens: 8000, tier: medium, {prices}}}
"""


@dataclass
class Stage:
    """The gateway, the provider behind it, and what the provider says to which prompt."""

    gateway: LiveGateway
    upstream: FakeUpstream
    lines: dict[str, Entry] = field(default_factory=dict)

    def prompt(self, entry: Entry | None = None) -> str:
        """A new prompt, which the provider answers with this."""
        prompt = new_prompt()
        self.lines[prompt] = entry or Answer(f"answer to {prompt}", pieces=("answer to ", prompt))
        return prompt

    def reply(self, request: Recorded) -> Reply:
        entry = next(entry for prompt, entry in self.lines.items() if prompt.encode() in request.body)
        return entry(request) if callable(entry) else entry

    def calls(self, prompt: str) -> list[Recorded]:
        """What the provider was asked about this prompt."""
        return [request for request in list(self.upstream.requests) if prompt.encode() in request.body]


@contextlib.contextmanager
def set_stage(data_dir: Path, **environment: str) -> Iterator[Stage]:
    """Start provider and gateway; `m` is served there, `two-homes` first where nobody listens."""
    upstream = FakeUpstream(script=())
    with upstream:
        config = CONFIG.format(url=upstream.url, dead=refused_url(), prices=PRICES)
        with running_gateway(data_dir, config=config, **environment) as gateway:
            stage = Stage(gateway, upstream)
            upstream.script = stage.reply
            yield stage
