"""Bytes that are no request, strings that are no text, enum values of a newer client."""

import pytest
from google.protobuf.descriptor import Descriptor
from google.protobuf.message import Message

from managedagents.v1 import agent_pb2, content_pb2, service_pb2, session_pb2, user_event_pb2
from managedagents_server.rpc.decode import decoder
from managedagents_server.rpc.wire import find_bad_text
from managedagents_server.words.errors import InvalidRequest, MalformedRequest

CREATE = service_pb2.CreateRequest.DESCRIPTOR
SEND = service_pb2.SendEventRequest.DESCRIPTOR
LIST_SESSIONS = service_pb2.ListSessionsRequest.DESCRIPTOR

MARK = "@text@"


def spoiled(request: Message) -> bytes:
    """The request's bytes with the marked text made no UTF-8, in the same length."""
    raw = request.SerializeToString()
    assert MARK.encode() in raw
    return raw.replace(MARK.encode(), b"@t\xffxt@")


def message(*texts: str) -> user_event_pb2.UserEvent:
    blocks = [content_pb2.Content(text=content_pb2.TextContent(text=text)) for text in texts]
    return user_event_pb2.UserEvent(user_message=user_event_pb2.UserMessage(content=blocks))


mode = agent_pb2.PermissionMode.ValueType


def statuses(*numbers: int) -> list[session_pb2.SessionStatus.ValueType]:
    return [session_pb2.SessionStatus.ValueType(number) for number in numbers]


def test_a_request_is_read() -> None:
    request = service_pb2.SendEventRequest(session_id="ses_1", event=message("Grüße"))
    assert decoder(SEND)(request.SerializeToString()) == request


def test_no_bytes_are_an_empty_request() -> None:
    assert decoder(SEND)(b"") == service_pb2.SendEventRequest()


@pytest.mark.parametrize("raw", [b"\xff\xff\xff", b"\x0a\x05abc", b"\x0a", b"\x0b", b"\x80" * 20])
def test_garbage_is_malformed(raw: bytes) -> None:
    with pytest.raises(MalformedRequest) as caught:
        decoder(SEND)(raw)
    assert caught.value.message == "the bytes are no SendEventRequest"
    assert not caught.value.violations


@pytest.mark.parametrize(
    ("descriptor", "request_", "path"),
    [
        (SEND, service_pb2.SendEventRequest(session_id=MARK), "session_id"),
        (SEND, service_pb2.SendEventRequest(event=message("a", "b", MARK)), "event.user_message.content[2].text.text"),
        (
            CREATE,
            service_pb2.CreateRequest(
                definition=agent_pb2.AgentDefinition(
                    tools=[
                        agent_pb2.Tool(bash=agent_pb2.BashTool()),
                        agent_pb2.Tool(custom=agent_pb2.CustomTool(name=MARK)),
                    ]
                )
            ),
            "definition.tools[1].custom.name",
        ),
        (
            CREATE,
            service_pb2.CreateRequest(definition=agent_pb2.AgentDefinition(metadata={"team": MARK})),
            "definition.metadata[team]",
        ),
        (
            CREATE,
            service_pb2.CreateRequest(definition=agent_pb2.AgentDefinition(metadata={MARK: "red"})),
            "definition.metadata",
        ),
        (
            CREATE,
            service_pb2.CreateRequest(
                definition=agent_pb2.AgentDefinition(
                    model_settings=agent_pb2.ModelSettings(
                        max_tokens=7, temperature=0.5, seed=-1, stop_sequences=["a", MARK]
                    )
                )
            ),
            "definition.model_settings.stop_sequences[1]",
        ),
    ],
)
def test_a_string_that_is_no_utf8_is_named(descriptor: Descriptor, request_: Message, path: str) -> None:
    with pytest.raises(MalformedRequest) as caught:
        decoder(descriptor)(spoiled(request_))
    assert [violation.field for violation in caught.value.violations] == [path]


def test_bytes_need_not_be_text() -> None:
    image = content_pb2.Content(image=content_pb2.ImageContent(data=b"\xff\xfe", media_type="image/png"))
    event = user_event_pb2.UserEvent(user_message=user_event_pb2.UserMessage(content=[image]))
    request = service_pb2.SendEventRequest(event=event)
    assert decoder(SEND)(request.SerializeToString()) == request
    assert find_bad_text(request.SerializeToString(), SEND) is None


def test_looking_for_the_string_ends_where_the_bytes_were_made_to_keep_us_busy() -> None:
    raw = b"\x98\x06\x01" * 20_000 + spoiled(service_pb2.SendEventRequest(session_id=MARK))
    assert find_bad_text(raw, SEND) is None


@pytest.mark.parametrize(
    ("descriptor", "request_", "fields"),
    [
        (
            LIST_SESSIONS,
            service_pb2.ListSessionsRequest(statuses=statuses(2, 99, 3, 77)),
            ["statuses[1]", "statuses[3]"],
        ),
        (
            CREATE,
            service_pb2.CreateRequest(definition=agent_pb2.AgentDefinition(tool_host=agent_pb2.ToolHost.ValueType(99))),
            ["definition.tool_host"],
        ),
        (
            CREATE,
            service_pb2.CreateRequest(
                definition=agent_pb2.AgentDefinition(
                    model=agent_pb2.Model(
                        provider_model=agent_pb2.ProviderModel(provider=agent_pb2.Provider.ValueType(50))
                    ),
                    model_settings=agent_pb2.ModelSettings(thinking_effort=agent_pb2.ThinkingEffort.ValueType(51)),
                    permission_policy=agent_pb2.PermissionPolicy(default=mode(52), tools={"a": mode(1), "b": mode(53)}),
                )
            ),
            [
                "definition.model.provider_model.provider",
                "definition.model_settings.thinking_effort",
                "definition.permission_policy.default",
                "definition.permission_policy.tools[b]",
            ],
        ),
        (
            SEND,
            service_pb2.SendEventRequest(
                event=user_event_pb2.UserEvent(
                    user_tool_confirmation=user_event_pb2.UserToolConfirmation(
                        decision=user_event_pb2.ToolConfirmation.ValueType(9)
                    )
                )
            ),
            ["event.user_tool_confirmation.decision"],
        ),
    ],
)
def test_an_unknown_enum_value_is_refused_wherever_it_stands(
    descriptor: Descriptor, request_: Message, fields: list[str]
) -> None:
    with pytest.raises(InvalidRequest) as caught:
        decoder(descriptor)(request_.SerializeToString())
    assert [violation.field for violation in caught.value.violations] == fields


def test_known_enum_values_pass() -> None:
    request = service_pb2.ListSessionsRequest(statuses=session_pb2.SessionStatus.values())
    assert decoder(LIST_SESSIONS)(request.SerializeToString()) == request


def test_a_refusal_names_only_so_many_values() -> None:
    request = service_pb2.ListSessionsRequest(statuses=statuses(99) * 100_000)
    with pytest.raises(InvalidRequest) as caught:
        decoder(LIST_SESSIONS)(request.SerializeToString())
    assert len(caught.value.violations) == 20
