"""LangChain's ChatOpenAI works against the gateway, unchanged but for base URL and key."""

import pytest
from langchain_core.messages import AIMessage, HumanMessage, ToolMessage
from langchain_core.tools import tool
from langchain_openai import ChatOpenAI
from pydantic import BaseModel

QUESTION = "Tell me about lakes."


class City(BaseModel):
    """A city."""

    name: str
    inhabitants: int


@tool
def get_weather(city: str) -> str:
    """Tell the weather of a city."""
    return f"Sunny in {city}"


@pytest.fixture(params=["gpt-4o", "auto"])
def chat(base_url: str, api_key: str, request: pytest.FixtureRequest) -> ChatOpenAI:
    return ChatOpenAI(model=request.param, base_url=base_url, api_key=api_key, max_retries=0)


def test_a_question_is_answered_with_its_usage(chat: ChatOpenAI):
    answer = chat.invoke(QUESTION)
    assert isinstance(answer, AIMessage)
    assert answer.content
    assert answer.response_metadata["finish_reason"] == "stop"
    usage = answer.usage_metadata
    assert usage["total_tokens"] == usage["input_tokens"] + usage["output_tokens"] > 0


def test_a_stream_holds_the_same_answer_and_its_usage(chat: ChatOpenAI):
    whole = chat.invoke(QUESTION)
    pieces = list(chat.stream(QUESTION, stream_usage=True))
    total = pieces[0]
    for piece in pieces[1:]:
        total += piece
    assert len(pieces) > 2
    assert total.content == whole.content
    assert total.usage_metadata["total_tokens"] == whole.usage_metadata["total_tokens"]


# One model only: LangChain keeps its asynchronous client for the whole process, and the client its first event loop.
@pytest.mark.anyio
@pytest.mark.parametrize("chat", ["auto"], indirect=True)
async def test_the_asynchronous_calls_are_answered(chat: ChatOpenAI):
    whole = await chat.ainvoke(QUESTION)
    assert "".join([piece.content async for piece in chat.astream(QUESTION)]) == whole.content


def test_a_bound_tool_is_called_and_its_result_answered(chat: ChatOpenAI):
    with_tools = chat.bind_tools([get_weather])
    asked = [HumanMessage("What is the weather in Oslo?")]
    called = with_tools.invoke(asked)
    (call,) = called.tool_calls
    assert call["name"] == "get_weather"
    result = get_weather.invoke(call)
    assert isinstance(result, ToolMessage)
    answer = with_tools.invoke([*asked, called, result])
    assert answer.content
    assert not answer.tool_calls


@pytest.mark.parametrize("method", ["json_schema", "function_calling"])
def test_structured_output_is_of_the_type_that_was_asked_for(chat: ChatOpenAI, method: str):
    answer = chat.with_structured_output(City, method=method).invoke("Name a city.")
    assert isinstance(answer, City)
