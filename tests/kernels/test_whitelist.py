"""Kernels use only what gives the same bytes interpreted and compiled; a planted fault shows that the lint looks."""

import ast
from collections.abc import Iterator

import pytest

from klined.kernels import jit

MATH = {"sqrt", "log", "exp", "tanh", "floor", "ceil", "isnan", "isfinite", "isinf", "inf", "nan", "pi", "e"}
BUILTINS = {"abs", "min", "max", "int", "float", "len", "range"}
IMPORTS = {
    "math",
    "collections.abc",
    "typing",
    "klined.domain",
    "klined.kernels.rows",
}  # all that jit.sources_hash covers
OPERATORS = (ast.Add, ast.Sub, ast.Mult, ast.Div, ast.USub, ast.UAdd, ast.Not)
STATEMENTS = (
    ast.FunctionDef, ast.Import, ast.ImportFrom, ast.Assign, ast.AnnAssign, ast.AugAssign, ast.Expr,
    ast.If, ast.For, ast.While, ast.Return, ast.Break, ast.Continue, ast.Pass,
)  # fmt: skip
FORBIDDEN = (
    ast.Lambda, ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp, ast.Dict, ast.Set, ast.List,
    ast.Await, ast.Yield, ast.YieldFrom, ast.JoinedStr, ast.Starred, ast.NamedExpr,
)  # fmt: skip
UNBOUND = (ast.Is, ast.IsNot, ast.In, ast.NotIn)

EXCEPTIONS: dict[str, str] = {
    "lane: identity or membership test": "`slots is None` is settled when the kernel is compiled: no value is compared",
    "episode: expression Starred": "rows are handed on as they came, how many is settled when the kernel is compiled",
}
"""`module: fault` (without the line) that is allowed, with the proof that both builds agree there."""


def faults(noun: str, source: str) -> Iterator[str]:
    """What the kernel module `noun` uses outside the whitelist, as `module:line: fault`."""
    tree = ast.parse(source)
    known = {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("klined.kernels"):
            known |= {alias.asname or alias.name for alias in node.names}
    constants = [part for part in tree.body if isinstance(part, (ast.Assign, ast.AnnAssign))]
    made_once = {id(node) for part in constants for node in ast.walk(part)}
    for node in ast.walk(tree):
        fault = grammar(node) if id(node) in made_once else grammar(node) or expression(node, known)
        if fault is not None and f"{noun}: {fault}" not in EXCEPTIONS:
            yield f"{noun}:{getattr(node, 'lineno', 0)}: {fault}"


def grammar(node: ast.AST) -> str | None:
    """Faults anywhere in a module."""
    match node:
        case ast.Import() | ast.ImportFrom():
            return imported(node)
        case ast.stmt() if not isinstance(node, STATEMENTS):
            return f"statement {type(node).__name__}"
        case ast.BinOp(op=op) | ast.UnaryOp(op=op) | ast.AugAssign(op=op) if not isinstance(op, OPERATORS):
            return f"operator {type(op).__name__}"
        case ast.FunctionDef() if node.decorator_list or node.args.kwonlyargs or node.args.vararg:
            return f"function {node.name} has a decorator or special arguments"
        case _:
            return None


def expression(node: ast.AST, known: set[str]) -> str | None:
    """Faults that a constant, computed once at import, may have."""
    match node:
        case ast.Compare(ops=ops) if any(isinstance(op, UNBOUND) for op in ops):
            return "identity or membership test"
        case ast.Call(func=function):
            return called(function, known)
        case _ if isinstance(node, FORBIDDEN):
            return f"expression {type(node).__name__}"
        case _:
            return None


def imported(node: ast.Import | ast.ImportFrom) -> str | None:
    names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else [node.module or ""]
    kernels = {f"klined.kernels.{noun}" for noun in jit.nouns()}
    for name in names:
        if name == "klined.kernels" and isinstance(node, ast.ImportFrom):
            strange = [alias.name for alias in node.names if alias.name not in jit.nouns()]
        else:
            strange = [] if name in IMPORTS | kernels else [name]
        if strange:
            return f"import of {', '.join(strange)}"
    return None


def called(function: ast.expr, known: set[str]) -> str | None:
    """Plain names must be whitelisted builtins or kernels; attributes those of math or of an imported kernel module."""
    match function:
        case ast.Name(name):
            return None if name in BUILTINS | known else f"call of {name}"
        case ast.Attribute(ast.Name("math"), name):
            return None if name in MATH else f"call of math.{name}"
        case ast.Attribute(ast.Name(module), name):
            return None if module in known else f"call of {module}.{name}"
        case _:
            return f"call of {ast.unparse(function)}"


@pytest.mark.parametrize("noun", jit.nouns())
def test_kernel_module_stays_within_the_whitelist(noun: str) -> None:
    assert list(faults(noun, (jit.FOLDER / f"{noun}.py").read_text())) == []


@pytest.mark.parametrize(
    ("planted", "fault"),
    [
        ("    return x**2", "operator Pow"),
        ("    return x % 2.0", "operator Mod"),
        ("    return x // 2.0", "operator FloorDiv"),
        ("    x **= 2\n    return x", "operator Pow"),
        ("    return math.hypot(x, x)", "call of math.hypot"),
        ("    return math.pow(x, 2.0)", "call of math.pow"),
        ("    return math.fsum((x, x))", "call of math.fsum"),
        ("    return pow(x, 2)", "call of pow"),
        ("    from klined.domain import Bar\n    return Bar(x)", "call of Bar"),
        ("    return round(x)", "call of round"),
        ("    return sum((x, x))", "call of sum"),
        ("    return x.sum()", "call of x.sum"),
        ("    import numpy as np\n    return np.sum(x)", "import of numpy"),
        ("    from random import random\n    return random()", "import of random"),
        (
            "    from klined.kernels.rows import Block\n    from klined.kernels import jit\n    return x",
            "import of jit",
        ),
        ("    return [y for y in (x,)]", "expression ListComp"),
        ("    try:\n        return 1.0 / x\n    except ZeroDivisionError:\n        return 0.0", "statement Try"),
        ("    raise ValueError(x)", "statement Raise"),
        ("    return 1.0 if x is None else 2.0", "identity"),
        ("    return f'{x}'", "expression JoinedStr"),
        ("    @njit(fastmath=True)\n    def inner(y):\n        return y\n    return inner(x)", "decorator"),
    ],
)
def test_lint_catches_what_the_builds_would_disagree_on(planted: str, fault: str) -> None:
    source = f"import math\n\n\ndef step(x):\n{planted}\n"
    assert any(fault in found for found in faults("planted", source)), list(faults("planted", source))


def test_lint_lets_plain_kernels_pass() -> None:
    source = "import math\n\nA = {1: 2}\n\n\ndef step(x):\n    return max(math.sqrt(abs(x)), step(x / 2.0))\n"
    assert list(faults("plain", source)) == []
