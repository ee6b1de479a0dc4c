"""Secrets never leave the process: known values and signed parts of URLs are masked wherever text goes out.

    hide(value) once, at start ─▶ masked(text) at every way out: log, journal, control socket, errors, reports

Standard library only, and no settings: whoever prints an error may import it.
"""

import re
from collections.abc import Mapping, Sequence
from urllib.parse import quote

SECRET_KEYS = frozenset({"api_key", "api_secret", "secret", "signature", "listenkey", "authorization", "x-mbx-apikey"})
SIGNED = re.compile(r"\b(signature|listenKey|apiKey)([\"']?\s*[=:]\s*[\"']?)[^&\s\"',})\]*]+", re.IGNORECASE)
MASK = "**********"
SHORT = 4  # shorter values are no secrets, and would mask half of every sentence

_known: set[str] = set()


def hide(secret: str) -> None:
    """Mask this value, plain or as a URL writes it, in everything that goes out from now on."""
    if len(secret) >= SHORT:
        _known.update({secret, quote(secret, safe="")})


def knows_any() -> bool:
    """Whether a secret was hidden."""
    return bool(_known)


def masked(text: str) -> str:
    """`text` without known secrets, and without the values of signatures, keys and listen keys."""
    text = SIGNED.sub(rf"\1\2{MASK}", text)
    for secret in _known:
        if secret in text:
            text = text.replace(secret, MASK)
    return text


def masked_bytes(body: bytes) -> bytes:
    """As `masked`, for what is stored; quick when nothing has to be hidden."""
    if any(secret.encode() in body for secret in _known):
        return masked(body.decode("utf-8", "replace")).encode()
    return body


def clean(value: object) -> object:
    """`value` with every text in it masked, and what a secret key names hidden; mappings and lists are followed."""
    match value:
        case str():
            return masked(value)
        case bytes():
            return masked_bytes(value)
        case Mapping():
            return {key: MASK if _names_secret(key) else clean(inner) for key, inner in value.items()}
        case Sequence():
            return [clean(inner) for inner in value]
        case BaseException():
            return masked(repr(value))
    return value


def _names_secret(key: object) -> bool:
    return isinstance(key, str) and key.lower() in SECRET_KEYS
