"""The container of a snapshot: which machine and plan it belongs to, named blocks of bytes, and a checksum.

    magic ─ length ─ header (JSON: schema, plan, kernel ABI, platform, last bar, section sizes) ─ sections ─ SHA-256

The header says whether the bytes may be used; the checksum says whether they are whole.
"""

import hashlib
import platform
import re
import struct
from collections.abc import Mapping
from functools import cache
from pathlib import Path

import msgspec
from msgspec import Struct

from klined.errors import StateError

MAGIC = b"klined-snapshot\n"
SCHEMA = 1
CHECKSUM_BYTES = hashlib.sha256().digest_size
_LENGTH = struct.Struct("<I")


class Header(Struct, frozen=True, kw_only=True):
    """What the sections fit."""

    schema: int = SCHEMA
    plan_hash: str  # SHA-256 of the feature plan, or of the policy's manifest
    kernel_abi: int
    platform: str  # libm and CPU class: see `platform_class`
    last_open_time_ms: int  # open time of the last closed bar inside; 0 when none was seen


class _Framed(Struct, frozen=True):
    header: Header
    sections: dict[str, int]  # name -> size in bytes, in order


_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder(_Framed)


def pack(header: Header, sections: Mapping[str, bytes]) -> bytes:
    """One blob; the same bytes for the same arguments."""
    front = _encoder.encode(_Framed(header, {name: len(body) for name, body in sections.items()}))
    whole = b"".join((MAGIC, _LENGTH.pack(len(front)), front, *sections.values()))
    return whole + hashlib.sha256(whole).digest()


def unpack(blob: bytes) -> tuple[Header, dict[str, bytes]]:
    """The header and the sections by name.

    Raises:
        StateError: truncated, changed, of another schema, or no snapshot at all.
    """
    if not blob.startswith(MAGIC):
        raise StateError(f"snapshot of {len(blob)} bytes does not begin like one; {_REMEDY}")
    body, checksum = blob[:-CHECKSUM_BYTES], blob[-CHECKSUM_BYTES:]
    if len(blob) < len(MAGIC) + _LENGTH.size + CHECKSUM_BYTES or hashlib.sha256(body).digest() != checksum:
        raise StateError(f"snapshot of {len(blob)} bytes is truncated or was changed: its checksum differs; {_REMEDY}")
    at = len(MAGIC) + _LENGTH.size
    end = at + _LENGTH.unpack_from(body, len(MAGIC))[0]
    try:
        framed = _decoder.decode(body[at:end])
    except msgspec.DecodeError as fault:
        raise StateError(f"snapshot header is not understood ({fault}); {_REMEDY}") from fault
    if framed.header.schema != SCHEMA:
        raise StateError(f"snapshot schema {framed.header.schema}, this klined reads {SCHEMA}; {_REMEDY}")
    sections: dict[str, bytes] = {}
    for name, size in framed.sections.items():
        sections[name] = body[end : end + size]
        end += size
    return framed.header, sections


def require(header: Header, *, plan_hash: str, kernel_abi: int) -> None:
    """Refuse a snapshot that this plan or these kernels cannot continue.

    Raises:
        StateError: names what differs.
    """
    if header.kernel_abi != kernel_abi:
        raise StateError(f"snapshot of kernel ABI {header.kernel_abi}, this klined has {kernel_abi}; {_REWARM}")
    if header.plan_hash != plan_hash:
        raise StateError(f"snapshot of feature plan {header.plan_hash[:12]}, configured is {plan_hash[:12]}; {_REWARM}")


@cache
def platform_class() -> str:
    """Class of libm and CPU, as far as they can be told: within one, restored state continues byte for byte."""
    name, version = platform.libc_ver()
    cpu = Path("/proc/cpuinfo")
    flags = cpu.read_text("utf-8", "replace") if cpu.is_file() else ""
    fma = "fma" if re.search(r"^(flags|Features)\s*:.*\b(fma|asimd)\b", flags, re.MULTILINE) else "no-fma"
    return f"{platform.system()} {platform.machine()} {name or 'libc'} {version or '?'} {fma}".lower()


_REMEDY = "restore a backup with `klined state restore FILE`"
_REWARM = "go back to the klined that wrote it and flatten there, or begin anew with another --state"
