"""The second build of the kernels: the same source, compiled by numba.

    import klined.kernels.features          interpreted: what the daemon runs, no numba in the process
    jit.compiled().features.eth15_step      compiled: what lanes, training and backtests run

Every module of this folder is a kernel module by living here; only NOT_KERNELS are not. A twin of a module is made
from the code objects of its functions, over a copy of its globals in which every kernel function (and module) is
replaced by its twin: a compiled function's `.py_func` would still call compiled functions, so one build cannot be both.
numba is imported by the first `compiled()`, never by importing this module. Compilation itself happens at the first
call of each function for each combination of argument types, or comes from the disk cache.

numba's own cache only watches the file of the outermost function, although inner functions are compiled into it. So the
cache lies in a folder named by a hash of all kernel sources, the flags, the versions and the CPU:
`$KLINED_JIT_CACHE`, else `$XDG_CACHE_HOME/klined/jit`, else `~/.cache/klined/jit`; without a writable folder nothing is
cached.
"""

import hashlib
import importlib
import os
import platform
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from types import FunctionType, ModuleType
from typing import Any

from klined.kernels.layout import KERNEL_ABI

FOLDER = Path(__file__).parent
CODES = FOLDER.parent / "domain.py"  # kernels take the codes of reasons from it
PACKAGE = "klined.kernels"
Build = Callable[[FunctionType], object]
NOT_KERNELS = frozenset({"__init__", "instructions", "jit", "rows"})
INSTRUCTED = "ahead"  # the module whose functions have bodies of their own in compiled code

# With _nrt every view of a row would count references atomically, which costs more than the arithmetic; kernels
# allocate nothing, so there is nothing to count.
FLAGS = {"forceinline": True, "_nrt": False}
CHECKED = {"boundscheck": True}
UNCHECKED = {"error_model": "numpy"}  # no test of each divisor: the checked build has it, and the tests run that


class Kernels:
    """One build; its attributes are the kernel modules by name: `kernels.gate`, `kernels.features`."""

    def __init__(self, name: str, load: Callable[[str], ModuleType]) -> None:
        self.name = name
        self._load = load

    def __getattr__(self, noun: str) -> Any:
        if noun.startswith("_") or noun not in nouns():
            raise AttributeError(f"no kernel module {noun!r} in {FOLDER}; there are {', '.join(nouns())}")
        module = self._load(noun)
        setattr(self, noun, module)
        return module


def nouns() -> tuple[str, ...]:
    """Names of the kernel modules: every file of the folder that is not in `NOT_KERNELS`."""
    return tuple(sorted(path.stem for path in FOLDER.glob("*.py") if path.stem not in NOT_KERNELS))


@cache
def interpreted() -> Kernels:
    """The plain modules behind the same face as `compiled()`."""
    return Kernels("interpreted", _plain)


def compiled(*, boundscheck: bool = False) -> Kernels:
    """The compiled build; with `boundscheck`, reading outside a row raises IndexError instead of returning garbage.

    Blocks are given as arrays: `S` is `block.array[i]` where interpreted code takes `block.row[i]`.

    Raises:
        ImportError: numba is not installed (`pip install klined[lanes]`).
    """
    return _compiled("checked" if boundscheck else "compiled")


@cache
def _compiled(name: str) -> Kernels:
    numba = importlib.import_module("numba")
    flags = FLAGS | (CHECKED if name == "checked" else UNCHECKED)
    folder = _cache_folder(f"{name} {flags}", numba.__version__)

    def build(function: FunctionType) -> object:
        with _cached_in(numba, folder):
            return numba.njit(cache=folder is not None, **flags)(function)

    twins: dict[str, ModuleType] = {}
    return Kernels(name, lambda noun: _twin(noun, name, build, twins))


def sources_hash() -> str:
    """SHA-256 over the names and bytes of all sources that compiled code depends on."""
    digest = hashlib.sha256()
    for path in (*(FOLDER / f"{noun}.py" for noun in (*nouns(), "instructions")), CODES):
        source = path.read_bytes()
        digest.update(f"{path.stem} {len(source)}\n".encode() + source)
    return digest.hexdigest()


def _plain(noun: str) -> ModuleType:
    return importlib.import_module(f"{PACKAGE}.{noun}")


def _twin(noun: str, build_name: str, build: Build, twins: dict[str, ModuleType]) -> ModuleType:
    """Copy of a kernel module whose functions are built, and call only built functions."""
    if noun in twins:
        return twins[noun]
    plain = _plain(noun)
    twin = ModuleType(f"{__name__}.{build_name}.{noun}", plain.__doc__)
    twin.__file__ = plain.__file__
    twins[noun] = twin
    sys.modules[twin.__name__] = twin  # numba looks up the module of a function that comes from its cache
    own: list[FunctionType] = []
    for key, value in vars(plain).items():
        if key.startswith("__"):
            continue
        setattr(twin, key, value)
        home = _home(value)
        if home == noun and isinstance(value, FunctionType):
            own.append(value)
        elif home is not None:
            other = _twin(home, build_name, build, twins)
            setattr(twin, key, other if isinstance(value, ModuleType) else getattr(other, value.__name__))
    instructed = noun == INSTRUCTED and build_name != "checked"  # instructions check no bounds
    for function in own:
        copy = FunctionType(function.__code__, vars(twin), function.__name__, function.__defaults__)
        copy.__module__, copy.__qualname__, copy.__doc__ = twin.__name__, function.__qualname__, function.__doc__
        setattr(twin, function.__name__, _instruction(function.__name__) if instructed else build(copy))
    return twin


def _instruction(name: str) -> object:
    """What stands for the function of that name in compiled code: not its source, but one instruction."""
    return getattr(importlib.import_module(f"{PACKAGE}.instructions"), name)


def _home(value: object) -> str | None:
    """The kernel module that `value` is, or was defined in."""
    if isinstance(value, ModuleType):
        name = value.__name__
    elif isinstance(value, FunctionType):
        name = value.__module__
    else:
        return None
    package, _, noun = name.rpartition(".")
    return noun if package == PACKAGE and noun in nouns() else None


def _cache_folder(build_name: str, numba_version: str) -> Path | None:
    """The folder for exactly these sources, this build and this machine; None when it cannot be written."""
    llvm = importlib.import_module("llvmlite.binding")
    machine = f"{llvm.get_host_cpu_name()} {llvm.get_host_cpu_features().flatten()}"
    key = f"{sources_hash()} {KERNEL_ABI} {build_name} {numba_version} {sys.version} {platform.libc_ver()} {machine}"
    default = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "klined" / "jit"
    root = Path(os.environ.get("KLINED_JIT_CACHE") or default)
    folder = root / hashlib.sha256(key.encode()).hexdigest()[:16]
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError:
        return None
    return folder if os.access(folder, os.W_OK) else None


@contextmanager
def _cached_in(numba: Any, folder: Path | None) -> Iterator[None]:
    """Numba reads its cache folder when a function is decorated; other users of numba keep theirs."""
    before = numba.config.CACHE_DIR
    numba.config.CACHE_DIR = str(folder or "")
    try:
        yield
    finally:
        numba.config.CACHE_DIR = before
