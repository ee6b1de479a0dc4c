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
