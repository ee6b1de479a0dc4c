"""The log: key=value on a terminal, one JSON object a line otherwise; secrets never pass.

Under journald (`$JOURNAL_STREAM`) a line carries its priority as `<N>` and no time stamp of its own.
"""

import logging
import os
import re
import sys
from collections.abc import MutableMapping
from typing import Any

import structlog

SECRET_KEYS = frozenset({"api_key", "api_secret", "secret", "signature", "listenkey", "authorization", "x-mbx-apikey"})
SIGNATURE = re.compile(r"(signature|listenKey|apiKey)=[^&\s\"']+", re.IGNORECASE)
PRIORITY = {"debug": 7, "info": 6, "warning": 4, "error": 3, "critical": 2}
MASK = "**********"

_known_secrets: set[str] = set()


def hide(secret: str) -> None:
    """Mask this value wherever it would be logged."""
    if secret:
        _known_secrets.add(secret)


def redact(_logger: object, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Structlog processor: drop values of secret keys, mask known secrets and signatures inside text."""
    for key, value in event.items():
        if key.lower() in SECRET_KEYS:
            event[key] = MASK
        elif isinstance(value, str):
            event[key] = masked(value)
    return event


def masked(text: str) -> str:
    text = SIGNATURE.sub(r"\1=" + MASK, text)
    for secret in _known_secrets:
        text = text.replace(secret, MASK)
    return text


def configure(level: str, form: str) -> None:
    """Set up logging for the process; `form` is auto, text or json."""
    journald = "JOURNAL_STREAM" in os.environ
    text = form == "text" or (form == "auto" and sys.stderr.isatty())
    processors: list[Any] = [structlog.processors.add_log_level, structlog.processors.format_exc_info, redact]
    if not journald:
        processors.append(structlog.processors.TimeStamper(fmt="iso", utc=True))
    if text:
        processors.append(structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty() and not os.environ.get("NO_COLOR")))
    else:
        processors.append(structlog.processors.JSONRenderer())
    if journald:
        processors.append(_priority)
    structlog.configure(
        processors=processors,
        wrapper_class=structlog.make_filtering_bound_logger(getattr(logging, level.upper())),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )


def _priority(_logger: object, method: str, line: str) -> str:
    return f"<{PRIORITY.get(method, 6)}>{line}"
