"""The log: key=value on a terminal, one JSON object a line otherwise; secrets never pass.

Under journald (`$JOURNAL_STREAM`) a line carries its priority as `<N>` and no time stamp of its own. What libraries
log, and what nobody caught, goes the same way, so nothing reaches stderr unmasked.
"""

import logging
import os
import sys
import threading
from collections.abc import Callable, MutableMapping
from types import TracebackType
from typing import Any

import structlog

from klined.config.masks import MASK, SECRET_KEYS, clean, hide, masked

__all__ = ["configure", "hide", "redact", "take_over"]

TOLD = "_told"  # of events that observers have from the stream of events already
PRIORITY = {"debug": 7, "info": 6, "warning": 4, "error": 3, "critical": 2}

Listener = Callable[[str, str, dict[str, Any]], None]
"""Level, name and data of an event."""

_listeners: list[Listener] = []

logger = structlog.get_logger()


def redact(_logger: object, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Structlog processor: drop values of secret keys, mask known secrets and signatures inside text, however deep."""
    for key, value in event.items():
        event[key] = MASK if key.lower() in SECRET_KEYS else clean(value)
    return event


def listen(listener: Listener) -> None:
    """Let `listener` hear what is logged from now on, but for what it hears elsewhere (`TOLD`)."""
    _listeners.append(listener)


def _tell(_logger: object, method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Structlog processor: pass an event on, after secrets are gone from it."""
    if not event.pop(TOLD, False):
        data = {key: value for key, value in event.items() if key not in {"event", "level", "exception"}}
        for listener in _listeners:
            listener(method, str(event.get("event", "")), data)
    return event


def configure(level: str, form: str) -> None:
    """Set up logging for the process; `form` is auto, keys or json. It may be set up anew at any time."""
    journald = "JOURNAL_STREAM" in os.environ
    text = form == "keys" or (form == "auto" and sys.stderr.isatty())
    processors: list[Any] = [structlog.processors.add_log_level, structlog.processors.format_exc_info, redact, _tell]
    if not journald:
        processors.append(structlog.processors.TimeStamper(fmt="iso", utc=True))
    if text:
        processors.append(structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty() and not os.environ.get("NO_COLOR")))
    else:
        processors.append(structlog.processors.JSONRenderer(default=_shown))
    if journald:
        processors.append(_priority)
    structlog.configure(
        processors=processors,
        wrapper_class=structlog.make_filtering_bound_logger(getattr(logging, level.upper())),
        logger_factory=lambda *_: structlog.PrintLogger(sys.stderr),  # what stderr is now, not what it was
        cache_logger_on_first_use=False,  # a kept logger would not hear of a level that a reload changes
    )


def take_over() -> None:
    """Let what libraries log, and what nobody caught, go through this log: for a process that is all ours."""
    logging.getLogger().addHandler(Libraries(logging.WARNING))
    sys.excepthook = _uncaught
    threading.excepthook = lambda told: _uncaught(told.exc_type, told.exc_value, told.exc_traceback)
    sys.unraisablehook = lambda told: _uncaught(told.exc_type, told.exc_value, told.exc_traceback)


class Libraries(logging.Handler):
    """What asyncio, aiohttp, websockets and others say through `logging`, as our own events."""

    def emit(self, record: logging.LogRecord) -> None:
        logger.warning("library.spoke", by=record.name, text=record.getMessage(), exc_info=record.exc_info or None)


def _uncaught(kind: type[BaseException], error: BaseException | None, trace: TracebackType | None) -> None:
    if error is not None and not issubclass(kind, KeyboardInterrupt):
        logger.error("error.uncaught", why=repr(error), exc_info=(kind, error, trace))


def _shown(value: object) -> str:
    """For JSON: whatever is no text, number, list or mapping."""
    return masked(repr(value))


def _priority(_logger: object, method: str, line: str) -> str:
    return f"<{PRIORITY.get(method, 6)}>{line}"
