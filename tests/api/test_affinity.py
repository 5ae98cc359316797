"""A conversation in a tool loop stays with the model that began it, whole and streamed; others do not."""

import httpx
import pytest
from conversation import CHAT, Json, ask, new_prompt, row_of

from live_gateway import LiveGateway

LOOP: list[Json] = [
    {"role": "assistant", "content": None, "tool_calls": [
        {"id": "1", "type": "function", "function": {"name": "look_up", "arguments": "{}"}}]},
    {"role": "tool", "tool_call_id": "1", "content": "two tables are free"},
]  # fmt: skip
TOOLS: Json = {"tools": [{"type": "function", "function": {"name": "look_up", "parameters": {"type": "object"}}}]}


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
@pytest.mark.parametrize("session", [{}, {"session_id": "affinity"}], ids=["opening", "session"])
def test_a_tool_loop_stays_with_its_model(client: httpx.Client, gateway: LiveGateway, *, stream: bool, session: Json):
    prompt = new_prompt()
    session = {name: f"{value}-{prompt}" for name, value in session.items()}
    first = client.post(CHAT, json=ask(prompt, routing_mode="quality", stream=stream, **TOOLS, **session))
    began = row_of(gateway, first).deployment
    body = ask(prompt, stream=stream, **TOOLS, **session)
    alone = row_of(
        gateway,
        client.post(CHAT, json=body | {"messages": [*ask(new_prompt())["messages"], *LOOP], "session_id": None}),
    )
    body["messages"] += LOOP
    row = row_of(gateway, client.post(CHAT, json=body))
    assert row.deployment == began
    assert alone.deployment != began
    decision = client.get(f"/v1/audit/{row.request_id}").json()["decision"]
    assert decision["route"]["affinity"] == "stays while its tool loop runs"
