"""What was found wrong with one request, and the checks that many fields share."""

from collections.abc import Mapping, Sized
from typing import Self

from google.protobuf.duration_pb2 import Duration

from managedagents_server.words.errors import InvalidRequest, LimitExceeded, Violation

SECOND = 1_000_000_000
DAY = 24 * 3600 * SECOND

# More than that helps nobody, and a refusal must fit into the trailers of a call.
_MOST = 20

_METADATA_ENTRIES = 64
_METADATA_KEY_BYTES = 128
_METADATA_VALUE_BYTES = 512
_REQUEST_ID_BYTES = 128


class Problems:
    """Raises at the end of its block what was gathered in it."""

    def __init__(self) -> None:
        self._violations: list[Violation] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is not None:
            return
        if self._violations:
            raise InvalidRequest.of(*self._violations)

    @property
    def full(self) -> bool:
        """Enough was found: looking on is wasted."""
        return len(self._violations) >= _MOST

    def wrong(self, path: str, why: str) -> None:
        if not self.full:
            self._violations.append(Violation(path, why))

    def required(self, path: str, value: Sized) -> None:
        if not value:
            self.wrong(path, "is required")

    def between(self, path: str, value: float, least: float, most: float) -> None:
        """Also refuses what is no number."""
        if not least <= value <= most:
            self.wrong(path, f"must be from {least:,} to {most:,}")

    def bytes_at_most(self, path: str, value: str, most: int) -> None:
        if len(value.encode()) > most:
            self.wrong(path, f"must have at most {most} bytes")

    def request_id(self, value: str) -> None:
        self.bytes_at_most("request_id", value, _REQUEST_ID_BYTES)

    def duration(self, path: str, value: Duration, least: int, most: int) -> None:
        """Bounds in nanoseconds."""
        if not -SECOND < value.nanos < SECOND or value.seconds * value.nanos < 0:
            self.wrong(path, "is no valid Duration")
        elif not least <= value.seconds * SECOND + value.nanos <= most:
            self.wrong(path, f"must be from {_seconds(least)} to {_seconds(most)}")

    def metadata(self, path: str, entries: Mapping[str, str]) -> None:
        if len(entries) > _METADATA_ENTRIES:
            self.wrong(path, f"must have at most {_METADATA_ENTRIES} entries")
            return
        for key, value in sorted(entries.items()):
            if not 1 <= len(key.encode()) <= _METADATA_KEY_BYTES:
                self.wrong(f"{path}[{key}]", f"a key must have 1 to {_METADATA_KEY_BYTES} bytes")
            self.bytes_at_most(f"{path}[{key}]", value, _METADATA_VALUE_BYTES)
            if "\0" in key or "\0" in value:
                # The log's filters would end there.
                self.wrong(f"{path}[{key}]", "must not hold NUL")


def limit(name: str, what: str, value: int, most: int) -> None:
    """Raises LimitExceeded where `value` is above the limit called `name`."""
    if value > most:
        raise LimitExceeded(f"{what} is {value:,}; at most {most:,}", limit=name, value=most)


def _seconds(nanoseconds: int) -> str:
    return f"{nanoseconds / SECOND:,g} s" if nanoseconds < DAY else f"{nanoseconds // DAY:,} days"
