"""The second build: only on demand, calling only itself, and never from a stale cache."""

import shutil
import subprocess
import sys
from pathlib import Path

import numba
import numpy as np
import pytest

from klined.kernels import jit, layout

CHILD_TIMEOUT_S = 120


def child(code: str, **environment: str) -> str:
    """What a fresh interpreter prints."""
    run = subprocess.run(
        [sys.executable, "-c", code],
        env=environment,
        capture_output=True,
        text=True,
        timeout=CHILD_TIMEOUT_S,
        check=False,
    )
    assert run.returncode == 0, run.stderr
    return run.stdout.strip()


def test_engine_and_jit_module_do_not_import_numba() -> None:
    code = "import sys, klined.kernels.jit, klined.trader.engine; print('numba' in sys.modules)"
    assert child(code) == "False"


def test_compiled_functions_call_compiled_functions_and_leave_the_plain_ones_alone() -> None:
    compiled, plain = jit.compiled(), jit.interpreted()
    assert compiled.features.moments_step is compiled.windows.moments_step
    assert compiled.features.moments_step is not plain.windows.moments_step
    assert plain.features.moments_step is plain.windows.moments_step
    assert plain.windows is sys.modules["klined.kernels.windows"]
    assert compiled.observe.at is compiled.layout
    assert compiled.layout.EQUITY == layout.EQUITY
    assert compiled is jit.compiled(boundscheck=False)
    assert compiled.windows is not jit.compiled(boundscheck=True).windows


def test_reading_outside_a_row_raises_in_the_checked_build() -> None:
    short = np.zeros(3)
    short[0] = 20.0
    with pytest.raises(IndexError):
        jit.compiled(boundscheck=True).windows.moments_step(short, 0, 20, 1.0)


@pytest.mark.parametrize("build", [jit.interpreted(), jit.compiled(), jit.compiled(boundscheck=True)])
def test_a_row_is_carried_up_to_the_count_and_no_further(build: jit.Kernels) -> None:
    carry = build.ahead.carry
    source, target = np.arange(5, dtype=np.float32), np.full(4, -1.0, np.float32)
    carried = carry if build.name == "interpreted" else numba.njit(lambda a, b, k: carry(a, b, k))  # noqa: PLW0108 - no function
    carried(source, target, 3)
    assert target.tolist() == [0.0, 1.0, 2.0, -1.0]
    carried(source, target, 0)
    assert target.tolist() == [0.0, 1.0, 2.0, -1.0]


def test_the_checked_build_carries_nothing_beyond_a_row() -> None:
    with pytest.raises(IndexError):
        jit.compiled(boundscheck=True).ahead.carry(np.zeros(5), np.zeros(4), 5)


def test_every_file_of_the_folder_is_a_kernel_module_except_two() -> None:
    assert {"features", "windows", "layout"} <= set(jit.nouns())
    assert not {"rows", "jit"} & set(jit.nouns())
    with pytest.raises(AttributeError, match="no kernel module 'rows'"):
        _ = jit.compiled().rows
    with pytest.raises(AttributeError, match=r"no kernel module .sprockets.*windows"):
        _ = jit.interpreted().sprockets


PROBE = """
import numpy as np
from klined.kernels import jit
jit.FOLDER = __import__('pathlib').Path({folder!r})
import klined.kernels; klined.kernels.__path__ = [{folder!r}]
kernels = jit.compiled()
state = np.zeros(2)
print([kernels.averages.ema_step(state, 0, 2, x) for x in (1.0, 3.0)][-1], end=' ')
print(kernels.probe.twice(state), sum(kernels.probe.twice.stats.cache_hits.values()))
"""


def test_change_of_an_inner_function_in_another_file_is_noticed_by_the_cache(tmp_path: Path) -> None:
    """Numba alone would keep answering from the old inner function."""
    folder, caches = tmp_path / "kernels", tmp_path / "cache"
    shutil.copytree(jit.FOLDER, folder, ignore=shutil.ignore_patterns("__pycache__"))
    (folder / "probe.py").write_text(
        "from klined.kernels.inner import once\n\n\ndef twice(row):\n    return once(row) + once(row)\n"
    )
    inner = folder / "inner.py"
    answers = []
    for factor in ("1.0", "1.0", "5.0"):
        inner.write_text(f"def once(row):\n    return row[1] * {factor}\n")
        environment = {"KLINED_JIT_CACHE": str(caches), "PYTHONDONTWRITEBYTECODE": "1"}
        answers.append(child(PROBE.format(folder=str(folder)), **environment))
    assert answers == ["2.0 4.0 0", "2.0 4.0 1", "2.0 20.0 0"]
    assert len(list(caches.iterdir())) == 2


def test_without_a_writable_folder_nothing_is_cached_and_everything_works(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    code = (
        "import numpy as np\nfrom klined.kernels import jit\nstep = jit.compiled().averages.ema_step\n"
        "print(step(np.zeros(2), 0, 1, 3.0), step.stats.cache_path)"
    )
    assert child(code, KLINED_JIT_CACHE=str(tmp_path / "file" / "below")) == "3.0 None"
