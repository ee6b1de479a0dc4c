"""What a person at a terminal reads: why each order was, at the minute in which it was decided."""

from decimal import Decimal

import pytest

from klined.config.settings import Settings
from klined.domain import Approved, Cause, Decision, Event, Intent, Reason, Refused
from klined.runtime.narrator import Narrator

OPEN_MS = 5 * 3_600_000
CLOSE_MS = OPEN_MS + 60_000


@pytest.fixture
def said() -> list[str]:
    return []


@pytest.fixture
def narrator(said: list[str]) -> Narrator:
    narrator = Narrator(said.append)
    narrator.greet(Settings(), "flat")
    said.clear()
    return narrator


def filled(cause: str) -> Event:
    data: dict[str, str | float | bool | None] = {
        "symbol": "ETH/USDT",
        "quantity": "-1.5",
        "price": "2500",
        "cause": cause,
        "equity": 10_000.0,
    }
    return Event(CLOSE_MS, "info", "order.filled", data)


def decided(verdict: Approved | Refused) -> Decision:
    return Decision(OPEN_MS, "ETH/USDT", b"", 0.5, (0.5,), verdict)


def test_fill_that_the_policy_wanted_tells_its_target(narrator: Narrator, said: list[str]) -> None:
    intent = Intent(client_id="a", symbol="ETH/USDT", quantity=Decimal(-1), bar_time_ms=OPEN_MS)
    narrator.observe(decided(Approved(intent, "")))
    narrator.observe(filled(Cause.POLICY.value))
    assert said == [" 05:01 fill  SELL 1.5 ETH @ 2,500.00   target +0.50   equity 10,000.00"]


@pytest.mark.parametrize("cause", [Cause.FLATTEN, Cause.RISK, Cause.STOP_TRAIL, "liquidation"])
def test_fill_that_the_policy_did_not_want_tells_who_did(narrator: Narrator, said: list[str], cause: str) -> None:
    narrator.observe(filled(str(cause)))
    assert str(cause) in said[0]
    assert "target" not in said[0]


def test_block_stands_at_the_close_of_its_bar_as_fills_do(narrator: Narrator, said: list[str]) -> None:
    narrator.observe(decided(Refused("ETH/USDT", Reason.TRADES_HOUR, "7th fill in 1 h (limit 6)")))
    narrator.observe(decided(Refused("ETH/USDT", Reason.TRADES_HOUR, "8th fill in 1 h (limit 6)")))
    assert said == [" 05:01 block ETH/USDT  risk.trades_hour: 7th fill in 1 h (limit 6)"], "once, not each bar"
