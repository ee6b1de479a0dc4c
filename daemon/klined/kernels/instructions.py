"""Bodies that kernels have where they are compiled: what a CPU can do and Python cannot say. Imports numba.

Only `jit` imports this, and only for the compiled build.
"""

import importlib
from typing import Any

ir = importlib.import_module("llvmlite.ir")
types = importlib.import_module("numba.types")
extending = importlib.import_module("numba.extending")

READ, KEEP, DATA = 0, 3, 1  # as LLVM's prefetch has them: for reading, in every cache, of data


@extending.intrinsic  # type: ignore[untyped-decorator]
def fetch(typing: Any, row: Any) -> Any:  # noqa: ARG001 - numba's signature
    """`ahead.fetch`: prefetch the line that `row` begins on."""

    def emit(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        array = context.make_array(signature.args[0])(context, builder, arguments[0])
        number = ir.IntType(32)
        pointer = builder.bitcast(array.data, ir.IntType(8).as_pointer())
        kind = ir.FunctionType(ir.VoidType(), (pointer.type, number, number, number))
        prefetch = builder.module.declare_intrinsic("llvm.prefetch", (pointer.type,), kind)
        builder.call(prefetch, (pointer, number(READ), number(KEEP), number(DATA)))
        return context.get_dummy_value()

    return types.void(row), emit


@extending.intrinsic  # type: ignore[untyped-decorator]
def carry(typing: Any, source: Any, target: Any, count: Any) -> Any:  # noqa: ARG001 - numba's signature
    """`ahead.carry`: copy the bytes; rows of different types do not compile."""
    if source.dtype != target.dtype:
        return None

    def emit(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        byte, number, flag = ir.IntType(8).as_pointer(), ir.IntType(64), ir.IntType(1)
        begin, end = (
            builder.bitcast(context.make_array(kind)(context, builder, row).data, byte)
            for kind, row in zip(signature.args[:2], arguments[:2], strict=True)
        )
        size = builder.mul(arguments[2], number(source.dtype.bitwidth // 8))
        kind = ir.FunctionType(ir.VoidType(), (byte, byte, number, flag))
        copy = builder.module.declare_intrinsic("llvm.memcpy", (byte, byte, number), kind)
        builder.call(copy, (end, begin, size, flag(0)))
        return context.get_dummy_value()

    return types.void(source, target, types.int64), emit


@extending.intrinsic  # type: ignore[untyped-decorator]
def whole(typing: Any, x: Any) -> Any:  # noqa: ARG001 - numba's signature
    """`ahead.whole`: convert, and let LLVM know the sign."""

    def emit(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:  # noqa: ARG001 - numba's signature
        number, flag = ir.IntType(64), ir.IntType(1)
        value = builder.fptosi(arguments[0], number)
        assume = builder.module.declare_intrinsic("llvm.assume", (), ir.FunctionType(ir.VoidType(), (flag,)))
        builder.call(assume, (builder.icmp_signed(">=", value, number(0)),))
        return value

    return types.int64(types.float64), emit


@extending.intrinsic  # type: ignore[untyped-decorator]
def place(typing: Any, k: Any) -> Any:  # noqa: ARG001 - numba's signature
    """`ahead.place`: the same bits, unsigned."""

    def emit(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:  # noqa: ARG001 - numba's signature
        return arguments[0]

    return types.uint64(types.int64), emit
