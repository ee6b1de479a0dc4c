"""The snapshot's container: what was packed comes out, and anything less is refused in words."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from klined.errors import StateError
from klined.store.snapshots import Header, pack, platform_class, require, unpack

HEADER = Header(plan_hash="ab" * 32, kernel_abi=1, platform="linux x86_64 glibc 2.36 fma", last_open_time_ms=60_000)
SECTIONS = {"S": bytes(range(256)), "empty": b"", "policy": b"recurrent"}
BLOB = pack(HEADER, SECTIONS)


@given(
    sections=st.dictionaries(st.text(max_size=8), st.binary(max_size=64), max_size=5),
    plan=st.text(max_size=64),
    abi=st.integers(0, 2**31),
    time_ms=st.integers(0, 2**53),
)
def test_what_was_packed_comes_out_in_order(sections: dict[str, bytes], plan: str, abi: int, time_ms: int) -> None:
    header = Header(plan_hash=plan, kernel_abi=abi, platform="p", last_open_time_ms=time_ms)
    found, parts = unpack(pack(header, sections))
    assert found == header
    assert list(parts.items()) == list(sections.items())


@pytest.mark.parametrize("size", [0, 5, 16, 20, 40, len(BLOB) // 2, len(BLOB) - 1])
def test_truncated_snapshot_is_refused(size: int) -> None:
    with pytest.raises(StateError, match="klined state restore"):
        unpack(BLOB[:size])


@given(at=st.integers(0, len(BLOB) - 1), bit=st.integers(0, 7))
def test_any_changed_bit_is_noticed(at: int, bit: int) -> None:
    changed = bytearray(BLOB)
    changed[at] ^= 1 << bit
    with pytest.raises(StateError):
        unpack(bytes(changed))


def test_other_schema_is_refused() -> None:
    with pytest.raises(StateError, match="snapshot schema 9, this klined reads 1"):
        unpack(pack(Header(schema=9, plan_hash="", kernel_abi=1, platform="", last_open_time_ms=0), {}))


def test_other_plan_and_other_kernels_are_named() -> None:
    require(HEADER, plan_hash="ab" * 32, kernel_abi=1)
    with pytest.raises(StateError, match="feature plan abababababab, configured is cdcd"):
        require(HEADER, plan_hash="cd" * 32, kernel_abi=1)
    with pytest.raises(StateError, match="kernel ABI 1, this klined has 2"):
        require(HEADER, plan_hash="ab" * 32, kernel_abi=2)


def test_platform_class_names_system_machine_libc_and_fma() -> None:
    assert re.fullmatch(r"\S+ \S+ \S+ \S+ (no-)?fma", platform_class())
    assert platform_class() == platform_class()
