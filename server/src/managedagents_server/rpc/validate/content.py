"""What a client may say, and the events it may send."""

from collections.abc import Sequence

from managedagents.v1 import content_pb2, user_event_pb2
from managedagents_server.rpc.validate.media import image_fault, is_media_type
from managedagents_server.rpc.validate.problems import Problems, limit
from managedagents_server.words.limits import Limits

_ITERATIONS_MOST = 20


def check_event(problems: Problems, path: str, event: user_event_pb2.UserEvent, limits: Limits) -> None:
    limit("event_bytes", f"the size of {path} in bytes", event.ByteSize(), limits.event_bytes)
    match event.WhichOneof("event"):
        case None:
            problems.wrong(path, "has no kind that this server knows")
        case "user_message":
            problems.required(f"{path}.user_message.content", event.user_message.content)
            _check_content(problems, f"{path}.user_message.content", event.user_message.content)
        case "user_interrupt":
            pass
        case "user_custom_tool_result":
            result = event.user_custom_tool_result
            problems.required(f"{path}.user_custom_tool_result.custom_tool_use_id", result.custom_tool_use_id)
            _check_content(problems, f"{path}.user_custom_tool_result.content", result.content)
        case "user_tool_confirmation":
            decided = event.user_tool_confirmation
            problems.required(f"{path}.user_tool_confirmation.tool_use_id", decided.tool_use_id)
            if decided.decision == user_event_pb2.TOOL_CONFIRMATION_UNSPECIFIED:
                problems.wrong(f"{path}.user_tool_confirmation.decision", "is required")
            elif decided.decision == user_event_pb2.TOOL_CONFIRMATION_ALLOW and decided.deny_message:
                problems.wrong(f"{path}.user_tool_confirmation.deny_message", "belongs to a denial")
        case "user_tool_result":
            returned = event.user_tool_result
            problems.required(f"{path}.user_tool_result.tool_use_id", returned.tool_use_id)
            _check_content(problems, f"{path}.user_tool_result.content", returned.content)
        case "user_define_outcome":
            defined = event.user_define_outcome
            problems.required(f"{path}.user_define_outcome.criteria", defined.criteria.strip())
            if defined.HasField("max_iterations"):
                problems.between(
                    f"{path}.user_define_outcome.max_iterations", defined.max_iterations, 1, _ITERATIONS_MOST
                )


def _check_content(problems: Problems, path: str, blocks: Sequence[content_pb2.Content]) -> None:
    for index, block in enumerate(blocks):
        if problems.full:
            return
        match block.WhichOneof("block"):
            case None:
                problems.wrong(f"{path}[{index}]", "has no kind that this server knows")
            case "text":
                if not block.text.text:
                    problems.wrong(f"{path}[{index}].text.text", "must not be empty")
            case "image":
                _check_image(problems, f"{path}[{index}].image", block.image)
            case "file":
                _check_media_type(problems, f"{path}[{index}].file.media_type", block.file.media_type)


def _check_image(problems: Problems, path: str, image: content_pb2.ImageContent) -> None:
    if not _check_media_type(problems, f"{path}.media_type", image.media_type):
        return
    fault = image_fault(image.data, image.media_type)
    if fault is not None:
        field, why = fault
        problems.wrong(f"{path}.{field}", why)


def _check_media_type(problems: Problems, path: str, media_type: str) -> bool:
    problems.required(path, media_type)
    if media_type and not is_media_type(media_type):
        problems.wrong(path, "must be a media type, type/subtype")
    return is_media_type(media_type)
