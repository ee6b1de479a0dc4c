"""What reconciliation owes on a real wire: money that moved is no profit, and a trade heard late finds its order."""

import json
from pathlib import Path
from typing import Any

import pytest

from tiers.ledgers import exchange_trades, findings
from wire.driver import Daemon, assert_agree, daemon, exchange, traded_again

SEED = 3
STRICT = {"risk__max_day_loss": 0.2, "risk__max_drawdown": 0.3, "risk__reduce_drawdown": 0.25}
MINUTE_MS = 60_000
HIDDEN = 1.5  # a position that the exchange hides for minutes is bought again, up to half the equity at each try


def summary(here: Daemon) -> dict[str, Any]:
    """What the daemon itself says at its end."""
    (file,) = (here.state / "reports").glob("session-*.json")
    told: dict[str, Any] = json.loads(file.read_text())
    return told


@pytest.mark.slow
@pytest.mark.parametrize("market", ["spot", "perp"])
async def test_a_deposit_and_a_withdrawal_are_neither_profit_nor_loss(market: str, tmp_path: Path) -> None:
    """The withdrawal would be twice the loss at which a day ends."""
    async with (
        exchange(tmp_path, seed=SEED) as there,
        daemon(tmp_path, there, market=market, exchange__reconcile_s=60, **STRICT) as here,
    ):
        await here.told("order.filled")
        for amount in ("5000", "-7000"):
            booked = here.count("transfer.booked") + here.count("account.adopted")

            async def heard(before: int = booked) -> bool:
                return here.count("transfer.booked") + here.count("account.adopted") > before

            await there.transfer(market, "USDT", amount)
            await here.until(heard, f"the transfer of {amount} is booked")
            await traded_again(here, there)
        assert here.count("mode.halted") == 0
        assert await here.stop() == 0
        truth = await there.truth()
    found = [finding for finding in findings(here.journal, truth, market) if "its history says" not in finding]
    assert not found, found
    told = summary(here)
    assert told["transfers"] == pytest.approx(-2000, abs=30)  # what was adopted, not told, was read beside open trades
    assert told["pnl"] == pytest.approx(told["equity_end"] - told["equity_start"] - told["transfers"])
    assert abs(told["pnl"]) < 500


@pytest.mark.slow
@pytest.mark.parametrize("market", ["spot", "perp"])
async def test_a_fill_of_an_order_declared_dead_is_booked_when_it_is_heard(market: str, tmp_path: Path) -> None:
    """Reads lag by more than anybody believes in, and no event tells: the order is given up, then found."""
    async with (
        exchange(tmp_path, seed=SEED) as there,
        daemon(tmp_path, there, market=market, exchange__user_stream="false", exchange__reconcile_s=60) as here,
    ):
        await here.told("order.filled")
        await there.arm("read_lag", market=market, delay_ms=3 * MINUTE_MS, duration_ms=5 * MINUTE_MS)
        await there.arm("lost_answer", market=market)
        dead = (await here.told("order.disproved"))["client_id"]

        async def booked() -> bool:
            return any(line.get("event") == "order.filled" and line.get("client_id") == dead for line in here.said)

        await here.until(booked, f"the late fill of {dead}")
        await traded_again(here, there)
        assert await here.stop() == 0
        truth = await there.truth()
        assert dead in {name for _, name, *_ in exchange_trades(truth[market])}
        assert_agree(here, truth, exposure=HIDDEN)
