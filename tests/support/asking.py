"""Short ways to say what a session asks of a model."""

from collections.abc import Sequence

import pytest

from managedagents.v1 import agent_event_pb2, agent_pb2, content_pb2, event_pb2
from managedagents_server.providers.base import (
    Answer,
    Answered,
    Delta,
    Item,
    Model,
    ModelFailure,
    ModelRequest,
    Result,
    Results,
    Said,
    Text,
    Thinking,
    ToolCall,
    ToolSpec,
    Verbatim,
)


def text_content(text: str) -> content_pb2.Content:
    return content_pb2.Content(text=content_pb2.TextContent(text=text))


def said(text: str) -> Said:
    return Said([text_content(text)])


def answered(answer: Answer, provider: str | None, first_use: int = 1) -> Answered:
    """An answer as the log would give it back; its uses are named use_1, use_2, … from `first_use` on. `provider` is
    whose verbatim is kept, None: nobody's."""
    events = []
    use = first_use
    for part in answer.parts:
        match part:
            case Text(text):
                events.append(
                    event_pb2.SessionEvent(agent_message=agent_event_pb2.AgentMessage(content=[text_content(text)]))
                )
            case Thinking(text):
                events.append(event_pb2.SessionEvent(agent_thinking=agent_event_pb2.AgentThinking(text=text)))
            case ToolCall(name, input_json):
                custom = agent_event_pb2.AgentCustomToolUse(
                    custom_tool_use_id=f"use_{use}", name=name, input_json=input_json
                )
                events.append(event_pb2.SessionEvent(agent_custom_tool_use=custom))
                use += 1
    if provider is None or answer.verbatim is None:
        return Answered(events, None)
    return Answered(events, Verbatim(provider, answer.verbatim))


def results(*texts: str, name: str = "lookup", is_error: bool = False) -> Results:
    return Results([Result(f"use_{n}", name, [text_content(text)], is_error) for n, text in enumerate(texts, start=1)])


def request(
    *conversation: Item,
    system: str = "",
    tools: Sequence[ToolSpec] = (),
    settings: agent_pb2.ModelSettings | None = None,
    finished: int = 0,
) -> ModelRequest:
    return ModelRequest(system, conversation, tools, settings or agent_pb2.ModelSettings(), finished)


async def ask(model: Model, *conversation: Item) -> Answer:
    """For tests that look at the wire: the deltas are dropped."""
    return await model.ask(request(*conversation), lambda delta: None)


async def failing(model: Model) -> ModelFailure:
    with pytest.raises(ModelFailure) as caught:
        await ask(model, said("hi"))
    return caught.value


def definition(base_url: str, key: str = "", model: str = "m") -> agent_pb2.AgentDefinition:
    """An agent whose model is behind chat completions."""
    reference = agent_pb2.ProviderModel(
        provider=agent_pb2.PROVIDER_OPENAI_COMPATIBLE, model=model, base_url=base_url, api_key=key
    )
    return agent_pb2.AgentDefinition(model=agent_pb2.Model(provider_model=reference))


def joined(deltas: Sequence[Delta]) -> dict[tuple[int, str, str], str]:
    """What the deltas add up to, by part, kind and tool name."""
    whole: dict[tuple[int, str, str], str] = {}
    for delta in deltas:
        key = (delta.part, delta.kind, delta.name)
        whole[key] = whole.get(key, "") + delta.piece
    return whole
