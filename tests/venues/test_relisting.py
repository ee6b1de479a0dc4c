"""What the exchange allows changes while we trade, and somebody else's orders stand in the book; on the sandbox."""

from decimal import Decimal
from pathlib import Path

import pytest

from klined.kernels import layout as at
from venues.rehearsal import Wants, rehearsing


@pytest.mark.parametrize("kind", ["spot", "perp"])
async def test_a_filter_that_refuses_brings_new_rules_and_the_next_bar_obeys_them(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    policy = Wants(0.333)
    async with rehearsing(tmp_path, monkeypatch, kind=kind, policy=policy) as here:
        await here.start(monkeypatch)
        await here.wire.arm("rules", symbol="ETHUSDT", market=kind, rules={"lot": "0.25", "quantity_min": "0.25"})
        await here.show()
        await here.until(lambda: "instruments.changed" in here.ear.names())
        assert await here.orders() == []
        await here.show()
        await here.until(lambda: here.position() != 0)
        (order,) = await here.orders()
        assert Decimal(order["quantity"]) % Decimal("0.25") == 0
        assert here.daemon.trader.instruments[0].lot == Decimal("0.25")
        assert here.daemon.trader.book.Q.row[0][at.LOTS] == float(here.position() // Decimal("0.25"))
        assert await here.stop() == 0


async def test_somebody_elses_order_counts_in_exposure_until_it_is_gone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with rehearsing(tmp_path, monkeypatch, kind="perp", policy=Wants(0.0)) as here:
        await here.start(monkeypatch)
        await here.wire.limit("BUY", "0.5", "2400", perp=True, newClientOrderId="by-hand")
        q, lot = here.daemon.trader.book.Q.row[0], float(here.daemon.trader.instruments[0].lot)
        await here.until(lambda: q[at.WORKING] * lot == pytest.approx(0.5))
        await here.wire.signed("DELETE", "/fapi/v1/order", symbol="ETHUSDT", origClientOrderId="by-hand")
        await here.until(lambda: q[at.WORKING] == 0.0)
        assert await here.stop() == 0
