"""The real daemon, and each thing that may go wrong on its wire: no order twice, none lost, and it trades on.

Several faults share one daemon, one after the other. After each, new orders must come; after all, the exchange's own
ledger and the journal must tell the same story, and a stop must leave nothing behind.
"""

import random
from collections.abc import Sequence
from pathlib import Path

import pytest

from wire.driver import Daemon, Exchange, assert_agree, daemon, exchange, launch, traded_again
from wire.faults import ACCOUNT, ALL, CALLS, EXCHANGE, MARKET, QUICK, RULES, SYMBOL, Wrong, mixture

SEED = 3  # of a market that turns often
GROUPS = {"calls": CALLS, "account": ACCOUNT, "market": MARKET, "exchange": EXCHANGE, "rules": RULES}
FAST = 120


async def suffered(here: Daemon, there: Exchange, fault: Wrong) -> None:
    """The fault has happened, was told where it should be, and trading goes on."""
    fired, heard = await there.fired(fault.kind), {name: here.count(name) for name in fault.told}

    async def it_happened() -> bool:
        return await there.fired(fault.kind) > fired

    await there.arm(fault.kind, market=here.market, **fault.about)
    await here.until(it_happened, f"{fault.name} has happened")
    for name in fault.told:
        await here.told(name, after=heard[name])
    await traded_again(here, there)
    await there.disarm()


async def survived(folder: Path, market: str, faults: Sequence[Wrong], speed: float) -> None:
    async with exchange(folder, speed=speed, seed=SEED) as there, daemon(folder, there, market=market) as here:
        await here.told("daemon.ready")
        for fault in faults:
            if market in fault.markets:
                await suffered(here, there, fault)
        assert await here.stop() == 0
        truth = await there.truth()
        assert_agree(here, truth)
        truth[market]["trades"].append({**truth[market]["trades"][-1], "number": 10_000_000})
        with pytest.raises(AssertionError, match="only the exchange has"):  # the comparison itself can fail
            assert_agree(here, truth)


async def test_faults_that_tell_most_leave_the_books_equal(tmp_path: Path) -> None:
    await survived(tmp_path, "spot", [fault for fault in ALL if fault.name in QUICK], FAST)


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("market", ["spot", "perp"])
@pytest.mark.parametrize("group", sorted(GROUPS))
async def test_each_fault_alone_leaves_the_books_equal(group: str, market: str, tmp_path: Path) -> None:
    await survived(tmp_path, market, GROUPS[group], 60)


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("market", ["spot", "perp"])
async def test_mixed_faults_leave_the_books_equal(market: str, seed: int, tmp_path: Path) -> None:
    """Every tenth answer, event and bar is wrong for half an hour; then peace."""
    async with exchange(tmp_path, speed=60, seed=seed) as there, daemon(tmp_path, there, market=market) as here:
        await here.told("daemon.ready")
        await there.arm_all(mixture(market, 0.1))
        await traded_again(here, there, 10)
        while await there.fired() <= 20:
            await traded_again(here, there)
        await there.disarm()
        await traded_again(here, there)
        assert await here.stop() == 0
        assert_agree(here, await there.truth())


async def killed(folder: Path, market: str, *, kills: int, share: float, seed: int, speed: float) -> None:
    """Kill -9 at random moments under load, some of them in a recovery; then one life in peace."""
    rng = random.Random(seed)
    async with exchange(folder, speed=speed, seed=seed) as there:
        if share:
            await there.arm_all(mixture(market, share))
        for _ in range(kills):
            here = await launch(folder, there, market=market)
            try:
                await (here.told("order.filled") if rng.random() < 0.7 else here.told("daemon.ready"))
                await here.lives(rng.uniform(0.0, 120.0 / speed))
            finally:
                await here.kill()
        await there.disarm()
        async with daemon(folder, there, market=market) as here:
            await here.told("daemon.ready")
            await traded_again(here, there)
            assert await here.stop() == 0
            truth = await there.truth()
            assert len(truth[market]["orders"]) > kills
            assert_agree(here, truth)


async def test_a_daemon_killed_under_load_leaves_the_books_equal(tmp_path: Path) -> None:
    await killed(tmp_path, "perp", kills=2, share=0.0, seed=SEED, speed=FAST)


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("market", ["spot", "perp"])
async def test_a_daemon_killed_amid_faults_leaves_the_books_equal(market: str, seed: int, tmp_path: Path) -> None:
    await killed(tmp_path, market, kills=8, share=0.05, seed=seed, speed=60)


@pytest.mark.slow
async def test_a_stop_that_is_refused_costs_the_position_and_nothing_else(tmp_path: Path) -> None:
    async with (
        exchange(tmp_path, seed=SEED) as there,
        daemon(tmp_path, there, market="perp", exits__resting=0.05) as here,
    ):
        await here.told("position.covered")
        await there.arm("reject_stop", market="perp", count=4)
        await here.told("position.escaped")
        await there.disarm()
        await traded_again(here, there)
        await there.arm("reject_stop", market="perp", executed=True)  # taken, then refused when it triggers
        await here.told("position.covered", after=here.count("position.covered"))
        await there.shock(SYMBOL, 0.9)
        await there.shock(SYMBOL, 1 / 0.81)
        await traded_again(here, there)
        assert await here.stop() == 0
        assert_agree(here, await there.truth())
