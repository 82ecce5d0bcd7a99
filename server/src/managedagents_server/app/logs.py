"""How the log lines of the process look: on stderr, with the session and the request that they are about."""

import logging
import sys
from typing import Literal

from pythonjsonlogger.core import RESERVED_ATTRS
from pythonjsonlogger.json import JsonFormatter

from managedagents_server.words import context

_OURS = "managedagents_server"
_BUILT_IN = frozenset(RESERVED_ATTRS)


def set_up(level: str, form: Literal["json", "text"] | None) -> None:
    """`form` None: text on a terminal, json elsewhere. Others' libraries are heard from WARNING on."""
    handler = logging.StreamHandler(sys.stderr)
    handler.addFilter(_add_context)
    text = form == "text" or (form is None and sys.stderr.isatty())
    handler.setFormatter(_TextFormatter("%(asctime)s %(levelname)s %(message)s") if text else _json())
    logging.basicConfig(level=logging.WARNING, handlers=[handler])
    logging.getLogger(_OURS).setLevel(level)
    # It tells of what other people's servers do wrong, which is told where they are used.
    logging.getLogger("mcp").setLevel(logging.CRITICAL)
    logging.captureWarnings(True)


def _json() -> logging.Formatter:
    return JsonFormatter(
        ["levelname", "name", "message"], rename_fields={"levelname": "level", "name": "logger"}, timestamp="time"
    )


class _TextFormatter(logging.Formatter):
    """Puts the extra fields behind the message."""

    def formatMessage(self, record: logging.LogRecord) -> str:
        extra = (f" {name}={value}" for name, value in vars(record).items() if name not in _BUILT_IN)
        return super().formatMessage(record) + "".join(extra)


def _add_context(record: logging.LogRecord) -> bool:
    for name, variable in (("session_id", context.session_id), ("request_id", context.request_id)):
        value = variable.get()
        if value and not hasattr(record, name):
            setattr(record, name, value)
    return True
