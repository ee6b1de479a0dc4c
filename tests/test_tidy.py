"""The rules of the house, held by a machine: each has a planted fault that it must catch.

Only files that git tracks are read, so that a scratch file in the tree fails nobody's run.
"""

import ast
import re
import subprocess
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

MODULE_LINES_MAX = 400
FUNCTION_LINES_MAX = 60
FILE_BYTES_MAX = 1 << 20
TEST_NAME_WORDS_MIN = 4

# Modules that may be longer, each with the reason why a cut would make it worse to read.
LONG_MODULES: dict[str, str] = {
    "daemon/klined/domain.py": "the vocabulary all rooms share is read in one place; declarations, hardly any code",
    "tests/trader/test_executor.py": "one state machine, the venue that lies to it, and the properties they must keep",
}

# Functions that may be longer, each with the reason why cutting it would make it worse to read.
LONG_FUNCTIONS: dict[str, str] = {
    "daemon/klined/kernels/features.py::original_step": "one fused step over one row; no part of it recurs",
    "daemon/klined/kernels/lane.py::solo_run": "the compiled loop of one symbol: a call per bar costs what it saves",
    "daemon/klined/kernels/episode.py::play_lanes": "the compiled loop of all lanes; each kernel stands in it once",
    "daemon/klined/kernels/gate.py::gate_step": "the fourteen checks in order, a line or two each, read as a table",
    "daemon/klined/kernels/gate.py::judge_opening": "the checks of an opening order; they share operands",
}

# Tops of tasks: here, and only here, an unexpected error is logged and decided upon.
CATCH_ALL: dict[str, str] = {
    "tests/replay/killing.py::replay_and_drop": "a process cut short may raise anything while its stack is torn down",
    "daemon/klined/runtime/loop.py::_run_once": "an event loop reports the fault of a callback, whatever it is",
    "daemon/klined/runtime/observing.py::run": "an observer may crash in any way, and trading must not notice",
    "daemon/klined/runtime/daemon.py::_live": "the top of the daemon: whatever died, it still settles and flattens",
    "daemon/klined/cli/main.py::_run": "the top of the process: a sentence and an exit code instead of a traceback",
    "daemon/klined/policies/onnx.py::_session": "onnxruntime's exceptions share no public base; becomes a ModelError",
}

# Commands that follow a running daemon from outside it, and do nothing else meanwhile.
# Benchmarks and tests wait for a daemon in a process of its own, at the rate at which they mean to ask it.
MAY_SLEEP: dict[str, str] = {
    "daemon/klined/cli/control.py::_wait": "status --watch draws again after a while",
    "daemon/klined/cli/history.py::logs": "logs -f reads what another process writes into SQLite, which tells nobody",
    "benchmarks/daemon.py::longest_wait_ms": "the pace of the requests is what is measured",
    "benchmarks/daemon.py::first_decision_s": "the daemon is asked until it has decided",
    "tests/runtime/living.py::until": "another process tells nobody when it has got there",
    "benchmarks/daemon.py::rows": "memory is read after a while of trading",
}

# Time is virtual there: a sleep costs nothing and is what is tested.
VIRTUAL_TIME = frozenset({"tests/runtime/test_loop.py"})

MAY_PRINT = ("daemon/klined/cli/", "benchmarks/", "examples/", "models/", "scripts/")

VAGUE_NAMES = re.compile(r"^_?(utils?|helpers?|managers?|misc|common)$")

# Built from halves, so that this file does not hold what it looks for.
LEFTOVER = re.compile(r"\b(" + "|".join(("TO" + "DO", "FIX" + "ME", "XX" + "X", "HA" + "CK")) + r")\b")
PLACES = re.compile(
    "|".join(
        re.escape(a + b)
        for a, b in (
            ("/wo", "rk/"),
            ("/ro", "ot/"),
            ("/ho", "me/"),
            ("/opt/", "wheels"),
            ("pypi", ".org"),
            ("python", "hosted.org"),
            ("registry.", "npmjs"),
            ("deb.", "debian.org"),
        )
    )
)
MAKING_OF = re.compile(
    r"\bissues?\s+#?\d+|\b(coding|previous|earlier) "
    r"session\b|\b(system|user|my) "
    r"prompt\b|\bsub"
    r"agents?\b",
    re.IGNORECASE,
)
BARE_SILENCER = re.compile(r"#\s*(noqa(?!:\s*[A-Z]+\d)|type:\s*ignore(?!\[)|pyright:\s*ignore(?!\[))")

Check = Callable[[str, str], Iterator[str]]
"""From a tracked path and its text to the faults found, each a line `path:line what`."""


@cache
def parsed(text: str) -> ast.Module:
    return ast.parse(text)


@cache
def functions(text: str) -> tuple[ast.FunctionDef | ast.AsyncFunctionDef, ...]:
    return tuple(n for n in ast.walk(parsed(text)) if isinstance(n, ast.FunctionDef | ast.AsyncFunctionDef))


def called(node: ast.AST) -> str:
    """Dotted name of what `node` calls, empty when it is no plain call."""
    return ast.unparse(node.func) if isinstance(node, ast.Call) else ""


def long_modules(path: str, text: str) -> Iterator[str]:
    lines = text.count("\n")
    if lines > MODULE_LINES_MAX and path not in LONG_MODULES:
        yield f"{path}: {lines} lines, at most {MODULE_LINES_MAX}: give a part of it a noun and a file of its own"


def long_functions(path: str, text: str) -> Iterator[str]:
    for node in functions(text):
        lines = (node.end_lineno or node.lineno) - node.lineno + 1
        if lines > FUNCTION_LINES_MAX and f"{path}::{node.name}" not in LONG_FUNCTIONS:
            yield f"{path}:{node.lineno} {node.name} has {lines} lines, at most {FUNCTION_LINES_MAX}"


def vague_modules(path: str, text: str) -> Iterator[str]:
    del text
    for part in Path(path).with_suffix("").parts:
        if VAGUE_NAMES.match(part):
            yield f"{path}: {part!r} says nothing; name the noun it holds"


def prints(path: str, text: str) -> Iterator[str]:
    if path.startswith(MAY_PRINT):
        return
    for node in ast.walk(parsed(text)):
        if called(node) == "print":
            yield f"{path}:{node.lineno} print outside the command line; log an event"  # type: ignore[attr-defined]  # a Call has a line


def catch_alls(path: str, text: str) -> Iterator[str]:
    for function in functions(text):
        if f"{path}::{function.name}" in CATCH_ALL:
            continue
        for node in ast.walk(function):
            if isinstance(node, ast.ExceptHandler) and caught(node) & EVERYTHING and not passes_on(node):
                yield f"{path}:{node.lineno} catches everything; name the narrowest type"


EVERYTHING = {"", "Exception", "BaseException"}


def passes_on(handler: ast.ExceptHandler) -> bool:
    """It only cleans up: its last word is a bare `raise`."""
    last = handler.body[-1]
    return isinstance(last, ast.Raise) and last.exc is None


def caught(handler: ast.ExceptHandler) -> set[str]:
    match handler.type:
        case None:
            return {""}
        case ast.Tuple(elts=elements):
            return {ast.unparse(element) for element in elements}
        case one:
            return {ast.unparse(one)}


def sleeps(path: str, text: str) -> Iterator[str]:
    in_tests = path.startswith("tests/") and path not in VIRTUAL_TIME
    allowed = {node for f in functions(text) if f"{path}::{f.name}" in MAY_SLEEP for node in ast.walk(f)}
    for node in ast.walk(parsed(text)):
        name = called(node)
        if node in allowed:
            continue
        if name == "time.sleep" or (in_tests and name == "asyncio.sleep" and ast.unparse(node) != "asyncio.sleep(0)"):
            yield f"{path}:{node.lineno} {name}: wait for the event itself, or use a fake clock"  # type: ignore[attr-defined]  # a Call has a line


def leftovers(path: str, text: str) -> Iterator[str]:
    yield from lines_with(LEFTOVER, path, text, "is left over")


def bare_silencers(path: str, text: str) -> Iterator[str]:
    yield from lines_with(BARE_SILENCER, path, text, "silences everything; name the rule and the reason")


def places(path: str, text: str) -> Iterator[str]:
    yield from lines_with(PLACES, path, text, "is a place on somebody's machine or network")


def making_of(path: str, text: str) -> Iterator[str]:
    yield from lines_with(MAKING_OF, path, text, "tells how the code was made; say why it is so instead")


def lines_with(pattern: re.Pattern[str], path: str, text: str, what: str) -> Iterator[str]:
    for number, line in enumerate(text.splitlines(), 1):
        if found := pattern.search(line):
            yield f"{path}:{number} {found[0]!r} {what}"


def collected_tests(path: str, text: str) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    if Path(path).name.startswith("test_"):
        yield from (node for node in functions(text) if node.name.startswith("test_") and is_collected(node))


def is_collected(node: ast.FunctionDef | ast.AsyncFunctionDef) -> bool:
    """Pytest collects it: it returns nothing."""
    return node.returns is None or (isinstance(node.returns, ast.Constant) and node.returns.value is None)


def short_test_names(path: str, text: str) -> Iterator[str]:
    for node in collected_tests(path, text):
        if len(node.name.split("_")) - 1 < TEST_NAME_WORDS_MIN:
            yield f"{path}:{node.lineno} {node.name}: a test's name is a sentence"


def claimless_tests(path: str, text: str) -> Iterator[str]:
    claiming = {f.name for f in functions(text) if any(claims(inner, set()) for inner in ast.walk(f))}
    for node in collected_tests(path, text):
        if not any(claims(inner, claiming - {node.name}) for inner in ast.walk(node)):
            yield f"{path}:{node.lineno} {node.name} asserts nothing"


def claims(node: ast.AST, claiming: set[str]) -> bool:
    """An assert, `pytest.raises` and its kin, a domain assertion (`assert_…`, `check_…`), or a call of `claiming`."""
    name = called(node).rsplit(".", 1)[-1]
    claiming = claiming | {"raises", "warns", "fail"}
    return isinstance(node, ast.Assert) or name in claiming or name.startswith(("assert_", "check_"))


PYTHON_CHECKS: tuple[Check, ...] = (
    long_modules,
    long_functions,
    vague_modules,
    prints,
    catch_alls,
    sleeps,
    bare_silencers,
    short_test_names,
    claimless_tests,
)
TEXT_CHECKS: tuple[Check, ...] = (leftovers, places, making_of)

PLANTED = {
    long_modules: ("daemon/klined/x.py", "x = 1\n" * (MODULE_LINES_MAX + 1)),
    long_functions: ("daemon/klined/x.py", "def f():\n" + "    x = 1\n" * FUNCTION_LINES_MAX),
    vague_modules: ("daemon/klined/utils.py", ""),
    prints: ("daemon/klined/x.py", "print('bar')\n"),
    catch_alls: (
        "daemon/klined/x.py",
        "def f():\n    try:\n        g()\n    except (OSError, Exception):\n        pass\n",
    ),
    sleeps: ("tests/test_x.py", "async def f():\n    await asyncio.sleep(0.1)\n"),
    bare_silencers: ("daemon/klined/x.py", "x = 1  # no" + "qa\n"),
    short_test_names: ("tests/test_x.py", "def test_gate_works():\n    assert True\n"),
    claimless_tests: ("tests/test_x.py", "def test_gate_refuses_a_stale_bar():\n    gate()\n"),
    leftovers: ("docs/x.md", "TO" + "DO: say it\n"),
    places: ("docs/x.md", "see /ro" + "ot/klined\n"),
    making_of: ("docs/x.md", "as iss" + "ue 12 asks\n"),
}


@cache
def tracked() -> tuple[str, ...]:
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=False, text=True)
    if listed.returncode:
        pytest.skip("not a git checkout: nothing tells which files are ours")
    return tuple(path for path in listed.stdout.split("\0") if path and (ROOT / path).is_file())


@cache
def text_of(path: str) -> str | None:
    """None for binary files."""
    try:
        return (ROOT / path).read_text()
    except UnicodeDecodeError:
        return None


def faults(check: Check, suffix: str = "") -> list[str]:
    return [
        fault
        for path in tracked()
        if path.endswith(suffix) and (text := text_of(path)) is not None
        for fault in check(path, text)
    ]


@pytest.mark.parametrize("check", PYTHON_CHECKS, ids=lambda check: check.__name__)
def test_tracked_python_keeps_the_house_rule(check: Check) -> None:
    assert not (found := faults(check, ".py")), "\n".join(found)


@pytest.mark.parametrize("check", TEXT_CHECKS, ids=lambda check: check.__name__)
def test_tracked_text_keeps_the_house_rule(check: Check) -> None:
    assert not (found := faults(check)), "\n".join(found)


@pytest.mark.parametrize("check", PLANTED, ids=lambda check: check.__name__)
def test_each_rule_catches_its_planted_fault(check: Check) -> None:
    assert len(list(check(*PLANTED[check]))) == 1


def test_every_rule_has_a_planted_fault() -> None:
    assert set(PLANTED) == {*PYTHON_CHECKS, *TEXT_CHECKS}


def test_no_tracked_file_is_too_big() -> None:
    sizes = {path: (ROOT / path).stat().st_size for path in tracked()}
    assert not {path: size for path, size in sizes.items() if size > FILE_BYTES_MAX}


def test_exceptions_from_the_rules_are_still_needed() -> None:
    names = {f"{path}::{f.name}" for path in tracked() if path.endswith(".py") for f in functions(text_of(path) or "")}
    long = {path for path in tracked() if (text_of(path) or "").count("\n") > MODULE_LINES_MAX}
    assert not {*LONG_FUNCTIONS, *CATCH_ALL, *MAY_SLEEP} - names
    assert not {*LONG_MODULES} - long
