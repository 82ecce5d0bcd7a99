"""What every call goes through: read, check, run, answer or refuse, log."""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from typing import Any, TypeAlias, TypeVar

import grpc
from google.protobuf.descriptor import MethodDescriptor
from google.protobuf.message import Message

from managedagents.v1 import service_pb2
from managedagents_server.rpc.decode import decoder
from managedagents_server.rpc.digest import hasher
from managedagents_server.rpc.errors import (
    MESSAGE_BYTES,
    STATUS,
    DeadlineExceeded,
    InternalFault,
    cut,
    reason_name,
    refuse,
    settle,
)
from managedagents_server.rpc.follow import Followers
from managedagents_server.rpc.methods import Change, Follow, Method, Read, methods
from managedagents_server.rpc.once import Once
from managedagents_server.session import Runtime
from managedagents_server.words import context as words_context
from managedagents_server.words.errors import RuntimeFault
from managedagents_server.words.limits import Limits
from managedagents_server.words.request import RequestKey

SERVICE = service_pb2.DESCRIPTOR.services_by_name["ManagedAgentRuntime"]

_Context: TypeAlias = "grpc.aio.ServicerContext[Any, Any]"
_Handler: TypeAlias = "grpc.RpcMethodHandler[Any, Any]"
_Answer = TypeVar("_Answer")

logger = logging.getLogger(__name__)


def service(runtime: Runtime, followers: Followers, once: Once, limits: Limits) -> grpc.GenericRpcHandler:
    """Everything that can be known before a call comes is worked out here."""
    table = methods(runtime, followers)
    handlers = {method.name: _handler(method, table[method.name], once, limits) for method in SERVICE.methods}
    return grpc.method_handlers_generic_handler(SERVICE.full_name, handlers)


def _handler(descriptor: MethodDescriptor, method: Method, once: Once, limits: Limits) -> _Handler:
    name = descriptor.name
    match method:
        case Read():
            return _unary(name, _reading(descriptor, method, limits))
        case Change():
            return _unary(name, _changing(descriptor, method, once, limits))
        case Follow():
            return _stream(name, _following(descriptor, method, limits))


def _reading(descriptor: MethodDescriptor, method: Read, limits: Limits) -> Callable[[bytes], Awaitable[bytes]]:
    read = _reader(descriptor)
    validate, run = method.validate, method.run

    async def work(raw: bytes) -> bytes:
        request = read(raw)
        validate(request, limits)
        return (await run(request)).SerializeToString()

    return work


def _changing(
    descriptor: MethodDescriptor, method: Change, once: Once, limits: Limits
) -> Callable[[bytes], Awaitable[bytes]]:
    read = _reader(descriptor)
    digest = hasher(descriptor.name, descriptor.input_type)
    # A busy thread takes turns with the event loop; several would leave it little.
    one_at_a_time = asyncio.Semaphore(1)
    validate, run = method.validate, method.run

    async def work(raw: bytes) -> bytes:
        request = read(raw)

        async def change(key: RequestKey | None) -> Message:
            if method.slow(request):
                async with one_at_a_time:
                    await asyncio.to_thread(validate, request, limits)
            else:
                validate(request, limits)
            return await run(request, key)

        return await once.run(descriptor.name, request, digest, change)

    return work


def _following(
    descriptor: MethodDescriptor, method: Follow, limits: Limits
) -> Callable[[bytes, Callable[[bytes], Awaitable[None]]], Awaitable[None]]:
    read = _reader(descriptor)

    async def work(raw: bytes, write: Callable[[bytes], Awaitable[None]]) -> None:
        request = read(raw)
        method.validate(request, limits)
        await method.run(request, write)

    return work


def _reader(descriptor: MethodDescriptor) -> Callable[[bytes], Any]:
    """Reads a request, and notes for the log whose it is."""
    decode = decoder(descriptor.input_type)
    fields = descriptor.input_type.fields_by_name
    on_session, on_request = "session_id" in fields, "request_id" in fields

    def read(raw: bytes) -> Any:
        request: Any = decode(raw)
        if on_session:
            words_context.session_id.set(request.session_id)
        if on_request:
            words_context.request_id.set(request.request_id)
        return request

    return read


def _unary(name: str, work: Callable[[bytes], Awaitable[bytes]]) -> _Handler:
    async def handle(raw: bytes, context: _Context) -> bytes:
        return await _answer(name, work(raw), context)

    return grpc.unary_unary_rpc_method_handler(handle)


def _stream(name: str, work: Callable[[bytes, Callable[[bytes], Awaitable[None]]], Awaitable[None]]) -> _Handler:
    async def handle(raw: bytes, context: _Context) -> None:
        await _answer(name, work(raw, context.write), context)

    return grpc.unary_stream_rpc_method_handler(handle)


async def _answer(name: str, work: Awaitable[_Answer], context: _Context) -> _Answer:
    started = time.perf_counter()
    try:
        async with asyncio.timeout(context.time_remaining()):
            outcome = await settle(work)
    except TimeoutError:
        outcome = DeadlineExceeded("the deadline passed; the call may have been applied")
    except asyncio.CancelledError:
        logger.debug("%s: the client hung up", name, extra=_fields(name, "CANCELLED", started))
        raise
    if isinstance(outcome, RuntimeFault):
        _log_refusal(name, outcome, started)
        await refuse(context, outcome)
    if logger.isEnabledFor(logging.DEBUG):
        logger.debug("%s: OK", name, extra=_fields(name, "OK", started))
    return outcome


def _log_refusal(name: str, fault: RuntimeFault, started: float) -> None:
    level = logging.ERROR if isinstance(fault, InternalFault) else logging.INFO
    fields = _fields(name, STATUS[fault.reason].name, started)
    logger.log(
        level, "%s: %s", name, cut(fault.message, MESSAGE_BYTES), extra={**fields, "reason": reason_name(fault.reason)}
    )


def _fields(name: str, status: str, started: float) -> dict[str, object]:
    return {"method": name, "status": status, "ms": round((time.perf_counter() - started) * 1000, 3)}
