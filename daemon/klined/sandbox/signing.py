"""Whether a request is who it says: HMAC-SHA256 or Ed25519 over exactly what was sent, and its time.

REST: query string and body as they came over the wire (so percent-encoded first, signed second), without `signature`.
Websocket API: `name=value` of all parameters in alphabetical order. Nothing here is ever logged.
"""

import base64
import binascii
import hashlib
import hmac
import re
from collections.abc import Mapping
from urllib.parse import quote

from klined.errors import ConfigError
from klined.sandbox.answers import BAD_SIGNATURE, EARLY, LATE, ApiError
from klined.sandbox.clock import SandboxClock
from klined.sandbox.settings import Key

SIGNATURE = re.compile(r"(?:^|&)signature=([^&]*)")
AHEAD_MS = 1000
WINDOW_MS, WINDOW_MAX_MS = 5000, 60_000


def rest_payload(query: str, body: str) -> str:
    """What a REST signature is over."""
    return SIGNATURE.sub("", query).removeprefix("&") + SIGNATURE.sub("", body).removeprefix("&")


def socket_payload(params: Mapping[str, str]) -> str:
    """What a websocket call's signature is over."""
    return "&".join(f"{name}={value}" for name, value in sorted(params.items()) if name != "signature")


def encoded_payload(params: Mapping[str, str]) -> str:
    """The same, percent-encoded: some clients sign it so."""
    pairs = sorted(params.items())
    return "&".join(f"{name}={quote(value, safe='')}" for name, value in pairs if name != "signature")


def verify(key: Key, payload: str, signature: str) -> None:
    """Raises ApiError when `signature` is not that of `key` over `payload`."""
    if not _valid(key, payload, signature):
        raise ApiError(*BAD_SIGNATURE)


def _valid(key: Key, payload: str, signature: str) -> bool:
    if key.secret:
        expected = hmac.new(key.secret.encode(), payload.encode(), hashlib.sha256).hexdigest()
        return hmac.compare_digest(expected.encode(), signature.lower().encode())
    return _ed25519(key.ed25519, payload, signature)


def _ed25519(pem: str, payload: str, signature: str) -> bool:
    try:
        from cryptography.exceptions import InvalidSignature  # noqa: PLC0415 - only for such keys
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey  # noqa: PLC0415
        from cryptography.hazmat.primitives.serialization import load_pem_public_key  # noqa: PLC0415
    except ImportError:
        raise ConfigError("Ed25519 keys need the package cryptography; install klined[live]") from None
    public = load_pem_public_key(pem.encode())
    try:
        raw = base64.b64decode(signature, validate=True)
        if isinstance(public, Ed25519PublicKey):
            public.verify(raw, payload.encode())
            return True
    except (InvalidSignature, binascii.Error):
        pass
    return False


def check_time(clock: SandboxClock, mode: str, timestamp_ms: int, window_ms: int) -> None:
    """Raises ApiError when the request is too old, or from the future, for the clock(s) that count."""
    if window_ms > WINDOW_MAX_MS:
        raise ApiError(-1131, "recvWindow must be less than 60000.")
    times = {"sandbox": (clock.told_ms(),), "wall": (clock.wall_ms(),)}.get(mode, (clock.told_ms(), clock.wall_ms()))
    if any(timestamp_ms < now_ms + AHEAD_MS and now_ms - timestamp_ms <= window_ms for now_ms in times):
        return
    raise ApiError(*(EARLY if timestamp_ms >= max(times) + AHEAD_MS else LATE))
