"""Skills: folders of an operator's directory whose SKILL.md tells a model how a kind of task is done (the open format
of agentskills.io). The model is told name and description, and reads the rest when it wants it. Nothing in them is
run here."""

import os
import re
import stat
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import yaml

_FILE = "SKILL.md"
_FILE_BYTES = 256 * 1024
_FRONT_BYTES = 8 * 1024
"""Of the YAML: nested deeply, this much takes its parser a second."""
_ENTRIES = 2_000
"""Files and folders of one skill."""
_DESCRIPTION_CHARS = 1024

_NAME = re.compile(r"(?=.{1,64}\Z)[a-z0-9]+(-[a-z0-9]+)*")
_FENCE = re.compile(rb"---[ \t]*\r?(\n|\Z)")
_BOM = b"\xef\xbb\xbf"

_PROMPT = """\
You have skills: folders with instructions for one kind of task each, and with what belongs to them. Before you \
do a task that one of them is for, read its SKILL.md in full, with your tool that reads files or with `cat` in your \
shell, and follow it. Paths in it are relative to its folder.

"""


class SkillError(Exception):
    """The message says which skill, and what is wrong."""


class UnknownSkill(SkillError):
    @classmethod
    def of(cls, skill_id: str) -> "UnknownSkill":
        return cls(f"there is no skill {skill_id[:100]!a} in this server's skills directory")


class InvalidSkill(SkillError):
    @classmethod
    def of(cls, skill_id: str, fault: str) -> "InvalidSkill":
        return cls(f"the skill {skill_id} is not valid: {fault}")


@dataclass(frozen=True, slots=True)
class _Known:
    state: tuple[int, ...]
    """Of the file that it was read from: with another, it is read again."""
    description: str


class Skills:
    """Asks the disk: where others wait for the event loop, call it in a thread."""

    def __init__(self, directory: Path | None) -> None:
        """None: there are no skills."""
        self._directory = directory
        self._known: dict[str, _Known] = {}

    def check(self, skill_id: str) -> None:
        """Raises UnknownSkill and InvalidSkill."""
        self.folders([skill_id])
        self._description(skill_id)

    def prompt(self, skill_ids: Iterable[str], seen: Mapping[str, str] | None = None) -> str:
        """The part of a system prompt that tells of them, in their order: the same bytes for the same content. Empty
        where there are none. `seen`: the folders as the tools of the session call them, by name; None: /skills/NAME.
        Raises UnknownSkill and InvalidSkill."""
        entries = []
        for skill_id in dict.fromkeys(skill_ids):
            folder = f"/skills/{skill_id}" if seen is None else seen[skill_id]
            entries.append(f"- {skill_id}: {self._description(skill_id)}\n  {folder}/{_FILE}\n")
        return _PROMPT + "".join(entries) if entries else ""

    def folders(self, skill_ids: Iterable[str]) -> Mapping[str, Path]:
        """By name, absolute, and with nothing in them that leads out of them. Raises UnknownSkill and InvalidSkill."""
        found = {}
        for skill_id in dict.fromkeys(skill_ids):
            folder = self._at(skill_id)
            if fault := _fault(folder):
                raise InvalidSkill.of(skill_id, fault)
            found[skill_id] = folder
        return found

    def _at(self, skill_id: str) -> Path:
        # A name has neither `..` nor a slash in it.
        if self._directory is None or not _NAME.fullmatch(skill_id):
            raise UnknownSkill.of(skill_id)
        folder = self._directory.resolve() / skill_id
        if folder.is_symlink():
            raise InvalidSkill.of(skill_id, "its folder is a link; it must stand in the skills directory itself")
        if not folder.is_dir():
            raise UnknownSkill.of(skill_id)
        return folder

    def _description(self, skill_id: str) -> str:
        file = self._at(skill_id) / _FILE
        known = self._known.get(skill_id)
        try:
            # Opening waits for nobody, should it be a pipe.
            descriptor = os.open(file, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
            with os.fdopen(descriptor, "rb") as opened:
                told = os.fstat(descriptor)
                state = (told.st_ino, told.st_size, told.st_mtime_ns, told.st_ctime_ns)
                if known is not None and known.state == state:
                    return known.description
                if not stat.S_ISREG(told.st_mode):
                    raise InvalidSkill.of(skill_id, f"its {_FILE} is no file")
                content = opened.read(_FILE_BYTES + 1)
        except FileNotFoundError as error:
            raise InvalidSkill.of(skill_id, f"its folder has no {_FILE}") from error
        except OSError as error:
            raise InvalidSkill.of(skill_id, f"its {_FILE} cannot be read, or is a link: {error.strerror}") from error
        description = _description_in(skill_id, content)
        self._known[skill_id] = _Known(state, description)
        return description


def _description_in(skill_id: str, content: bytes) -> str:
    """What a SKILL.md says in its frontmatter, in one line: it is no place for other entries of the list."""
    if len(content) > _FILE_BYTES:
        raise InvalidSkill.of(skill_id, f"its {_FILE} is larger than {_FILE_BYTES:,} bytes")
    try:
        content.decode()
        # The loader that makes strings only: no object, no date, and no mapping merged into others, over and over.
        front = yaml.load(_front(skill_id, content), yaml.BaseLoader)
    except UnicodeDecodeError as error:
        raise InvalidSkill.of(skill_id, f"its {_FILE} is not UTF-8") from error
    except (yaml.YAMLError, RecursionError) as error:
        why = " ".join(str(error).split())[:300]
        raise InvalidSkill.of(skill_id, f"the frontmatter of its {_FILE} is no YAML: {why}") from error
    if not isinstance(front, dict):
        raise InvalidSkill.of(skill_id, f"the frontmatter of its {_FILE} has no name and description")
    if front.get("name") != skill_id:
        raise InvalidSkill.of(skill_id, f"the name in its {_FILE} is not that of its folder")
    description = front.get("description")
    if not isinstance(description, str) or not 1 <= len(description.strip()) <= _DESCRIPTION_CHARS:
        raise InvalidSkill.of(
            skill_id, f"the description in its {_FILE} must be text of 1 to {_DESCRIPTION_CHARS:,} characters"
        )
    return " ".join(description.split())


def _front(skill_id: str, content: bytes) -> bytes:
    """What stands between the first line, `---`, and the next such line."""
    content = content.removeprefix(_BOM)
    begin = _FENCE.match(content)
    if begin is None:
        raise InvalidSkill.of(skill_id, f"its {_FILE} does not begin with a line `---`, and so has no frontmatter")
    at = begin.end()
    while at < min(len(content), _FRONT_BYTES):
        if _FENCE.match(content, at):
            return content[begin.end() : at]
        at = content.find(b"\n", at) + 1 or len(content)
    raise InvalidSkill.of(
        skill_id, f"the frontmatter of its {_FILE} does not end with a line `---` in the first {_FRONT_BYTES:,} bytes"
    )


def _fault(folder: Path) -> str | None:
    """What in a folder is not for tools to see. Looked for anew each time: no time of the folder tells of changes deep
    inside."""
    left = [folder]
    count = 0
    try:
        while left:
            with os.scandir(left.pop()) as entries:
                for entry in entries:
                    count += 1
                    if count > _ENTRIES:
                        return f"its folder has more than {_ENTRIES:,} files and folders"
                    if entry.is_symlink():
                        if not Path(os.path.realpath(entry.path)).is_relative_to(folder):
                            return f"{ascii(entry.name)[:100]} is a link that leads out of its folder"
                    elif entry.is_dir():
                        left.append(Path(entry.path))
                    elif not entry.is_file():
                        return f"{ascii(entry.name)[:100]} is neither a file nor a folder"
    except OSError as error:
        return f"its folder cannot be read: {error.strerror}"
    return None
