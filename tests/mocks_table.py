"""Prints what llmock says of us, fault by fault and route by route: `PYTHONPATH=tests python -m mocks_table`.

The tests assert the same; this is for people. A cell is llmock's verdict, then what the session made of it."""

import asyncio
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from managedagents.v1 import status_event_pb2
from support import llmock_faults as faults
from support.llmock import ROUTES, LLMock, Route, llmock
from support.llmock_faults import Fault, meet
from support.mocked import Turn
from support.server import Stub, running

_SILENCE = 2.0
_LIMITS = ("retry_first=0.1", "provider_attempts=4", "breaker_failures=1000", f"model_stall={_SILENCE}")
_FLAGS = [flag for limit in (*_LIMITS, f"model_first_token={_SILENCE}") for flag in ("--limit", limit)]


def _all() -> Iterator[Fault]:
    yield from faults.statuses_that_pass()
    yield from faults.statuses_that_stay()
    yield from faults.broken_streams()
    yield from faults.malformed_streams()
    yield from faults.broken_calls()
    yield from faults.unknown_tool()
    yield from faults.silences(2 * _SILENCE)
    yield Fault("HTTP 500, three in a row", {"type": "fail", "status": 500, "times": 3})
    yield Fault("outage", {"type": "fail", "status": 500, "times": None})


async def _main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        db = Path(folder) / "log.db"
        # At a pace at which it is seen whether the client goes on reading.
        async with (
            llmock("--stream-chunk-delay-ms", "30") as mock,
            running(db, "--allow-address", "127.0.0.0/8", *_FLAGS) as server,
            server.channel() as channel,
        ):
            _print("fault", *map(str, ROUTES))
            _print(*["---"] * (len(ROUTES) + 1))
            for fault in _all():
                _print(str(fault), *[await _cell(Stub(channel), mock, route, fault) for route in ROUTES])


def _print(*cells: str) -> None:
    sys.stdout.write(f"| {' | '.join(cells)} |\n")
    sys.stdout.flush()


async def _cell(stub: Stub, mock: LLMock, route: Route, fault: Fault) -> str:
    if route.name in fault.not_on:
        return "-"
    await mock.forget()
    turn = await meet(stub, mock, route, fault)
    verdict = await mock.verdict()
    return f"{', '.join(verdict.findings) or 'clean'}: {_became(turn)}"


def _became(turn: Turn) -> str:
    words = [f"{_name(cause)}, again after {delay:.1f} s" for cause, delay in turn.delayed]
    words += [_name(error.code) for error in turn.errors]
    return "; ".join([*words, turn.stop_reason])


def _name(code: status_event_pb2.ErrorCode.ValueType) -> str:
    return status_event_pb2.ErrorCode.Name(code).removeprefix("ERROR_CODE_MODEL_").lower()


if __name__ == "__main__":
    asyncio.run(_main())
