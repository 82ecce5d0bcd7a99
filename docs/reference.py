"""Generate the pages that are made from what stands elsewhere: events.md and errors.md from the protos, limits.md from
the table of limits, too, and clients.md from the READMEs of the clients.

`python docs/reference.py [FOLDER]` writes them into FOLDER, or else beside this file. A thing is described in one place
only; what is here turns that into pages, and adds no facts.
"""

import ast
import inspect
import re
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import fields
from itertools import pairwise
from pathlib import Path

import examples
from managedagents_server.tools.mcp import bounds
from managedagents_server.tools.mcp.bounds import McpBounds
from managedagents_server.words.limits import Limits
from protos import Member, Type, read

HERE = Path(__file__).resolve().parent

_EVENTS = """\
All that happens in a session is a `SessionEvent` of its log. What a client sends by `SendEvent` is a `UserEvent`,
and stands in the log under the same name. A kind is named as the field that holds it, with the first `_` read as a
dot: `agent_tool_use` is the kind `agent.tool_use`, and so it is given to the `kinds` of a filter.
[grpcurl](grpcurl.md) shows some as JSON."""

_ERRORS = """\
A call that is refused or fails, and a model or a tool that fails, are two things: the first is the status of the
call, the second an event of the session."""

_LIMITS = """\
`managedagents-server --limit NAME=VALUE`, as often as needed; sizes in bytes, times in seconds. A call over one of
them is RESOURCE_EXHAUSTED, reason LIMIT_EXCEEDED, and names it. Where a row says "of these" or "likewise" it goes
on from the row before."""

_MCP = """\
What one of them may make this server wait for, or keep. Fixed."""

_FIXED = """\
What the comments of the protos bound. What is over one of these is INVALID_ARGUMENT, reason INVALID_REQUEST, and
names the field. Where one of the limits above says the same, it is that one."""


def events(types: dict[str, Type]) -> str:
    """What may stand in a log, what a client may send, and what a stream says around them."""
    envelope, sent, stream = types["SessionEvent"], types["UserEvent"], types["StreamEventsResponse"]
    kinds = [member for member in envelope.members if member.label == "one of `payload`"]
    shown = {member.type for member in kinds} | {"SessionEvent", "UserEvent", "StreamEventsResponse"}
    around = _used(types, [types[member.type] for member in stream.members], shown)
    shown |= {type_.name for type_ in around}
    inside = _used(types, [envelope, *(types[member.type] for member in kinds)], shown)
    links = {type_.name: f"#{type_.name.lower()}" for type_ in [*around, *inside]}
    links |= {member.type: f"#{_anchor(_kind(member))}" for member in kinds} | {"SessionEvent": "#the-envelope"}
    known = [member.name for member in sent.members]

    lines = [
        *_head("Events"),
        "",
        _EVENTS,
        "",
        *_section("The envelope", envelope, links, skip=kinds),
    ]
    lines += ["", "## The kinds", "", "| kind | sent by | |", "|---|---|---|"]
    for member in kinds:
        by = "a client" if member.name in known else "the server"
        told = types[member.type].comment if member.name in known else member.comment
        lines.append(f"| [`{_kind(member)}`](#{_anchor(_kind(member))}) | {by} | {_cell(_first_sentence(told))} |")
    for member in kinds:
        does = next((each.comment for each in sent.members if each.name == member.name), "")
        lines += ["", *_section(_kind(member), types[member.type], links, does, level=3)]
    lines += ["", "## The stream", "", stream.comment, "", *_table(stream.members, links)]
    for type_ in around:
        lines += ["", *_section(type_.name, type_, links, level=3)]
    lines += ["", "## What they are made of"]
    for type_ in inside:
        lines += ["", *_section(type_.name, type_, links, level=3)]
    return "\n".join(lines) + "\n"


def errors(types: dict[str, Type]) -> str:
    """Why a call fails, and what fails in a session."""
    reasons, codes, after = types["ErrorReason"], types["ErrorCode"], types["ErrorNext"]
    lines = [
        *_head("Errors"),
        "",
        _ERRORS,
        "",
        "## Of a call",
        "",
        reasons.comment,
        "",
        "| reason | status | what it means, and what to do |",
        "|---|---|---|",
    ]
    for value in reasons.members[1:]:
        status, _, told = value.comment.partition(". ")
        lines.append(f"| `{value.name.removeprefix('ERROR_REASON_')}` | {status} | {_cell(told)} |")
    lines += ["", "## In a session", "", codes.comment, "", *_values(codes, "what failed")]
    lines += ["", "What happens then stands beside it, in `next`:", "", *_values(after, "what happens")]
    lines += ["", "The event itself: [`error`](events.md#error)."]
    return "\n".join(lines) + "\n"


def limits(types: dict[str, Type]) -> str:
    """What the operator may set, and what is fixed."""
    lines = [
        *_head("Limits", "server/src/managedagents_server/words/limits.py", "proto/managedagents/v1"),
        "",
        "## That the operator sets",
        "",
        _LIMITS,
        "",
        "| limit | default | what it bounds |",
        "|---|---|---|",
    ]
    lines += [
        f"| `{limit.name}` | {_amount(limit.name, limit.default)} | {limit.metadata['doc']} |"
        for limit in fields(Limits)
    ]
    lines += [
        "",
        "## Of MCP servers",
        "",
        _MCP,
        "",
        "| bound | value | |",
        "|---|---|---|",
        *(f"| `{name}` | {_amount(name, value)} | {told} |" for name, value, told in _mcp_bounds()),
        "",
        "## That are fixed",
        "",
        _FIXED,
        "",
        "| where | what |",
        "|---|---|",
    ]
    for type_ in _used(types, [types["ManagedAgentRuntime"]], set()):
        if not type_.is_enum:
            lines += _bounds(type_)
    return "\n".join(lines) + "\n"


def _mcp_bounds() -> Iterator[tuple[str, float, str]]:
    """What each bounds stands below it, as a docstring, which only the source has."""
    (table,) = (node for node in ast.parse(inspect.getsource(bounds)).body if isinstance(node, ast.ClassDef))
    for line, below in pairwise(table.body):
        match line, below:
            case ast.AnnAssign(target=ast.Name(name)), ast.Expr(ast.Constant(str(told))):
                yield name, getattr(McpBounds(), name), _cell(" ".join(told.split()))


_BOUND = re.compile(r"\b(at (the )?most|at least|up to \d+|\d+( ms)? to \d+|above 0)\b", re.IGNORECASE)


def _bounds(type_: Type) -> Iterator[str]:
    source = f"../proto/managedagents/v1/{type_.file}"
    for sentence in re.split(r"(?<=\.)\s+", type_.comment):
        if _BOUND.search(sentence):
            yield f"| [`{type_.name}`]({source}) | {_cell(sentence)} |"
    for member in type_.members:
        if _BOUND.search(member.comment):
            yield f"| [`{type_.name}.{member.name}`]({source}) | {_cell(member.comment)} |"


def _amount(name: str, value: object) -> str:
    """In the unit that a person thinks in; bytes also as they are written."""
    match value:
        case float() if name.endswith("_hours"):
            return f"{value:g}"
        case float():
            return f"{value:g} s"
        case int() if name.endswith("_bytes"):
            unit, size = next((unit, size) for unit, size in _UNITS if value % size == 0)
            return f"{value:,} ({value // size} {unit})"
    return f"{value:,}"


_UNITS = (("GiB", 1024**3), ("MiB", 1024**2), ("KiB", 1024), ("bytes", 1))


def _head(title: str, *sources: str) -> list[str]:
    names = " and ".join(sources or ["proto/managedagents/v1"])
    return [f"<!-- Made by `make docs` from {names}. Do not edit. -->", "", f"# {title}"]


def _section(
    title: str, type_: Type, links: dict[str, str], does: str = "", *, level: int = 2, skip: Sequence[Member] = ()
) -> list[str]:
    lines = [f"{'#' * level} {title}", "", *([does, ""] if does else []), type_.comment]
    members = [member for member in type_.members if member not in skip]
    if type_.is_enum:
        lines += ["", *_values(type_, "")]
    elif members:
        lines += ["", *_table(members, links)]
    return lines


def _table(members: Iterable[Member], links: dict[str, str]) -> list[str]:
    lines = ["| field | type | |", "|---|---|---|"]
    for member in members:
        type_ = f"[{member.type}]({links[member.type]})" if member.type in links else member.type
        label = f", {member.label}" if member.label else ""
        lines.append(f"| `{member.name}` | {type_}{label} | {_cell(member.comment)} |")
    return lines


def _values(enum: Type, title: str) -> list[str]:
    """Without UNSPECIFIED, which never means anything here."""
    return [
        f"| value | {title} |",
        "|---|---|",
        *(f"| `{value.name}` | {_cell(value.comment)} |" for value in enum.members[1:]),
    ]


def _used(types: dict[str, Type], roots: Iterable[Type], without: set[str]) -> list[Type]:
    """The roots and what their fields hold, each before what it holds, that are not in `without`."""
    found: dict[str, Type] = {}
    queue = list(roots)
    while queue:
        type_ = queue.pop(0)
        if type_.name not in without:
            found[type_.name] = type_
        if not type_.is_enum:
            queue += [
                types[member.type]
                for member in type_.members
                if member.type in types and member.type not in found and member.type not in without
            ]
    return list(found.values())


def _kind(member: Member) -> str:
    """As a filter names it."""
    return member.name.replace("_", ".", 1)


def _anchor(heading: str) -> str:
    """As GitHub makes it."""
    return re.sub(r"[^a-z0-9_ -]", "", heading.lower()).replace(" ", "-")


def _cell(text: str) -> str:
    return text.replace("\n\n", " ").replace("|", "\\|")


def _first_sentence(text: str) -> str:
    return re.split(r"(?<=[.;]) ", text.partition("\n")[0], maxsplit=1)[0].rstrip(";")


def clients(_: dict[str, Type]) -> str:
    """The same program in each language."""
    return "\n".join([*_head("Clients", "the READMEs of clients/"), "", examples.page()])


def main(folder: Path = HERE) -> None:
    types = read()
    for page in (events, errors, limits, clients):
        (folder / f"{page.__name__}.md").write_text(page(types), "utf-8")


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:2]))
