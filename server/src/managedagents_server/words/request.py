"""What makes a retried request the same request."""

from dataclasses import dataclass

from google.protobuf.message import Message

TENANT = "default"
"""The only tenant until callers have identities; every row belongs to one."""


@dataclass(frozen=True, slots=True)
class RequestKey:
    """A request id in its scope. `digest` is the canonical hash of the request, without the id and without secrets."""

    tenant: str
    method: str
    request_id: str
    digest: bytes


@dataclass(frozen=True, slots=True)
class KeptAnswer:
    """The answer to a request, to be written in the same transaction as what the request did."""

    key: RequestKey
    response: bytes

    @classmethod
    def of(cls, key: RequestKey | None, response: Message) -> "KeptAnswer | None":
        """None: the request has no id, and nothing is kept."""
        return None if key is None else cls(key, response.SerializeToString())
