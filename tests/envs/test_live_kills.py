"""kill -9 inside `step`: whatever the instant, the next process recovers, and no order is sent twice."""

import os
import random
import signal
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from tiers.ledgers import findings
from wire.driver import exchange

TESTS = Path(__file__).parents[1]
POINTS = [f"{call}.{phase}" for call in ("write", "commit", "submit") for phase in ("before", "after")]
BARS = 12


def life(folder: Path, *words: object) -> int:
    """One life of an agent's process; its return code."""
    command = [sys.executable, "-m", "envs.killing_live", str(folder), *map(str, words)]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("KLINED_")}
    done = subprocess.run(command, check=False, cwd=TESTS, env=environment, capture_output=True, text=True, timeout=120)
    assert done.returncode in {0, -signal.SIGKILL}, done.stderr[-2_000:]
    return done.returncode


def told(folder: Path, what: str) -> list[Any]:
    with closing(sqlite3.connect(folder / "state" / "journal.db")) as link:
        return link.execute(what).fetchall()


def story(folder: Path) -> list[list[Any]]:
    """What was decided, intended and filled."""
    return [
        told(folder, "SELECT bar_time_ms, symbol, target FROM decisions ORDER BY bar_time_ms"),
        told(folder, "SELECT client_id, quantity, bar_time_ms FROM intents ORDER BY client_id"),
        told(folder, "SELECT client_id, quantity, price, fee FROM fills ORDER BY client_id, trade_id"),
    ]


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> list[list[Any]]:
    folder = tmp_path_factory.mktemp("whole")
    assert life(folder, "-", "spot", 1, BARS) == 0
    decided, intended, filled = story(folder)
    assert len(decided) == BARS
    assert len(filled) == len(intended) > 4
    return [decided, intended, filled]


def seeded() -> list[tuple[str, int]]:
    rng = random.Random(20)
    return [(point, rng.randint(1, 4)) for point in POINTS]


@pytest.mark.parametrize(("point", "hits"), seeded())
def test_life_cut_short_on_the_market_inside_ends_as_a_whole_one(
    point: str, hits: int, whole: list[list[Any]], tmp_path: Path
) -> None:
    assert life(tmp_path, "-", "spot", 1, BARS, point, hits) == -signal.SIGKILL
    left = len(story(tmp_path)[0])
    assert left < BARS
    assert life(tmp_path, "-", "spot", 1, BARS) == 0
    assert story(tmp_path) == whole
    assert len(told(tmp_path, "SELECT 1 FROM runs")) == 2


@pytest.mark.slow
@pytest.mark.parametrize("market", ["spot", "perp"])
@pytest.mark.parametrize(("point", "hits"), seeded())
async def test_life_cut_short_on_a_sandbox_agrees_with_its_ledger(
    point: str, hits: int, market: str, tmp_path: Path
) -> None:
    await cut_short(tmp_path, market, point, min(hits, 2))


async def test_order_whose_answer_died_with_the_process_is_found_and_not_sent_again(tmp_path: Path) -> None:
    await cut_short(tmp_path, "spot", "submit.after", 1)


async def cut_short(folder: Path, market: str, point: str, hits: int) -> None:
    """Two lives on one sandbox: the first is killed, and after the second its ledger is the journal's."""
    async with exchange(folder, speed=120) as there:
        words = (there.base, market, there.speed)
        assert life(folder, *words, 40, point, hits) == -signal.SIGKILL
        if point == "submit.after":
            assert await there.orders(market) == 1 + (hits > 1)
        assert life(folder, *words, 3) == 0
        truth = await there.truth()
    assert truth[market]["trades"]
    assert not findings(folder / "state" / "journal.db", truth, market)
