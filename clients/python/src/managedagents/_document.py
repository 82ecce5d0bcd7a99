"""A YAML or JSON text: the values in it, and where each of them stands."""

import json
import re
from collections.abc import Iterable
from dataclasses import replace
from typing import Any, NoReturn

import yaml

from managedagents._errors import DefinitionError, FieldViolation

# Aliases let a short text mean a huge one.
_MOST_VALUES = 1_000_000

_ITEM = re.compile(r"\w*\[(\d+)\]\.?")
_HUMP = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")
_TIMESTAMP = "tag:yaml.org,2002:timestamp"


class _Loader(yaml.SafeLoader):
    """YAML as JSON knows it: a date is the text that it is written as."""

    yaml_implicit_resolvers = {  # noqa: RUF012 -- as yaml.Resolver declares it
        first: [(tag, pattern) for tag, pattern in resolvers if tag != _TIMESTAMP]
        for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }

    def construct_object(self, node: yaml.Node, deep: bool = False) -> Any:
        try:
            return super().construct_object(node, deep)
        except (ValueError, LookupError, AttributeError) as error:
            # What PyYAML lets through where a tag is written that does not fit its text, say `!!int x`.
            message = f"what stands here is no {node.tag.rpartition(':')[2]}"
            raise yaml.constructor.ConstructorError(None, None, message, node.start_mark) from error


class Document:
    """The values of a text, and their places. `name`: what the text is called in an error."""

    def __init__(self, written: bytes, name: str) -> None:
        """Raises DefinitionError where it is neither YAML nor JSON."""
        self.name = name
        self.values: Any = None
        self.duplicates: list[FieldViolation] = []
        """Keys that stand twice in one mapping."""
        self._root: yaml.Node | None = None
        self._weights: dict[int, int] = {}
        try:
            self._read(written.decode("utf-8-sig"))
        except UnicodeDecodeError as error:
            raise DefinitionError(f"{name} is no UTF-8 text") from error
        except RecursionError:
            raise DefinitionError(f"{name} is nested too deeply") from None

    def placed(self, violations: Iterable[FieldViolation]) -> list[FieldViolation]:
        """The violations with their places, in the order of these."""
        found = [(self._mark(violation.field), violation) for violation in violations]
        found.sort(key=lambda pair: (0, 0) if pair[0] is None else (pair[0].line, pair[0].column))
        return [replace(violation, place=self._place(mark)) for mark, violation in found]

    def place(self, path: str) -> str:
        """`weather.yaml:12:5`: where the key or the list item of that path stands, or else the last on the way to it.

        The text's name alone where that is not known.
        """
        return self._place(self._mark(path))

    def _read(self, written: str) -> None:
        try:
            self.values = json.loads(written, parse_constant=_no_constant)
        except ValueError as error:
            self._read_yaml(written, error)
        else:
            self._find_places(written)

    def _find_places(self, written: str) -> None:
        """Of a JSON text. Tabs, which YAML does not take, can only stand between its values."""
        try:
            self._compose(_Loader(written.replace("\t", " ")))
        except yaml.YAMLError:
            # A few texts are JSON and not YAML, say one with a key of more than 1,024 characters: their errors name
            # the field without its line.
            self._root = None

    def _read_yaml(self, written: str, no_json: ValueError) -> None:
        try:
            loader = _Loader(written)
            self._compose(loader)
            self.values = None if self._root is None else loader.construct_document(self._root)
        except yaml.YAMLError as error:
            if isinstance(no_json, json.JSONDecodeError) and self.name.endswith(".json"):
                place = f"{self.name}:{no_json.lineno}:{no_json.colno}"
                problem = FieldViolation("", f"this is no JSON: {no_json.msg}", place)
            else:
                place = self._place(_mark_of(error, written))
                problem = FieldViolation("", f"this is neither YAML nor JSON: {_words_of(error)}", place)
            raise DefinitionError.of([problem]) from error

    def _compose(self, loader: _Loader) -> None:
        self._root = loader.get_single_node()
        if self._root is not None and self._weigh(self._root, "") >= _MOST_VALUES:
            raise DefinitionError(f"{self.name} means more than {_MOST_VALUES:,} values")

    def _weigh(self, node: yaml.Node, path: str) -> int:
        """How many values the node means, with its aliases written out; on the way, keys that stand twice."""
        if id(node) not in self._weights:
            # For the node inside itself.
            self._weights[id(node)] = _MOST_VALUES
            weight = 1
            if isinstance(node, yaml.SequenceNode):
                weight += sum(self._weigh(item, f"{path}[{index}]") for index, item in enumerate(node.value))
            elif isinstance(node, yaml.MappingNode):
                weight += self._weigh_mapping(node, path)
            self._weights[id(node)] = min(weight, _MOST_VALUES)
        return self._weights[id(node)]

    def _weigh_mapping(self, node: yaml.MappingNode, path: str) -> int:
        weight, lines = 0, dict[tuple[str, str], int]()
        for key, value in node.value:
            here = path
            if isinstance(key, yaml.ScalarNode):
                here = f"{path}.{key.value}" if path else key.value
                if (key.tag, key.value) in lines:
                    self.duplicates.append(FieldViolation(here, f"stands in line {lines[key.tag, key.value]} already"))
                lines[key.tag, key.value] = key.start_mark.line + 1
            weight += self._weigh(key, here) + self._weigh(value, here)
        return weight

    def _place(self, mark: yaml.Mark | None) -> str:
        return self.name if mark is None else f"{self.name}:{mark.line + 1}:{mark.column + 1}"

    def _mark(self, path: str) -> yaml.Mark | None:
        if self._root is None:
            return None
        node, mark = self._root, self._root.start_mark
        while path:
            step = _step(node, path)
            if step is None:
                break
            mark, node, path = step
        return mark


def _step(node: yaml.Node, path: str) -> tuple[yaml.Mark, yaml.Node, str] | None:
    """The mark and the node of what the path begins with, and the rest of the path. None: it is not there."""
    if isinstance(node, yaml.SequenceNode):
        item = _ITEM.match(path)
        if item is None or int(item[1]) >= len(node.value):
            return None
        found = node.value[int(item[1])]
        return found.start_mark, found, path[item.end() :]
    longest, step = 0, None
    for key, value in node.value if isinstance(node, yaml.MappingNode) else ():
        for start in _spellings(key.value) if isinstance(key, yaml.ScalarNode) else ():
            # A key may hold dots. Of equal ones the last counts.
            if longest <= len(start) and (path == start or path.startswith((f"{start}.", f"{start}["))):
                longest = len(start)
                step = key.start_mark, value, path[longest:].removeprefix(".")
    return step


def _spellings(key: str) -> Iterable[str]:
    """How a path may spell a key of the text: as it is, as a key of a map, and as the field that it means."""
    field = _HUMP.sub("_", key).lower()
    return key, f"[{key}]", field, f"{field}_json"


def _mark_of(error: yaml.YAMLError, written: str) -> yaml.Mark | None:
    if isinstance(error, yaml.MarkedYAMLError):
        return error.problem_mark or error.context_mark
    if isinstance(error, yaml.reader.ReaderError):
        before = written[: error.position]
        column = len(before) - before.rfind("\n") - 1
        return yaml.Mark("", error.position, before.count("\n"), column, None, 0)
    return None


def _words_of(error: yaml.YAMLError) -> str:
    # Never the whole error: it quotes the line, and the line may hold a key.
    if isinstance(error, yaml.MarkedYAMLError):
        return ", ".join(words for words in (error.context, error.problem) if words)
    return error.reason if isinstance(error, yaml.reader.ReaderError) else "it cannot be read"


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON")
