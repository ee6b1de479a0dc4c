"""A flatten whose cancels get lost, or come too late: it asks again, and learns what became of the order."""

from collections.abc import Sequence

import pytest
from msgspec.structs import replace

from klined.domain import OrderNews
from klined.errors import Retryable
from klined.simulation.run import simulate
from klined.simulation.schedule import Fault, make_schedule
from klined.simulation.wire import SimVenue

FLATTENED_S = 6_061.5  # an order rests then
CALM = replace(
    make_schedule(3),
    symbols=("ETH/USDT:USDT",),
    tight=False,
    orders="post_only",
    faults=(Fault(FLATTENED_S, "person", "flatten"), Fault(FLATTENED_S + 600.0, "person", "resume")),
)


@pytest.mark.parametrize("lost", [0, 1, 4])
def test_flatten_cancels_again_what_a_lost_cancel_left_at_work(lost: int, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[float] = []
    cancel = SimVenue.cancel

    async def lossy(venue: SimVenue, client_id: str, symbol: str) -> Sequence[OrderNews]:
        if venue._world.now_s >= FLATTENED_S:
            asked.append(venue._world.now_s)
            if len(asked) <= lost:
                raise Retryable("it never arrived")
        return await cancel(venue, client_id, symbol)

    monkeypatch.setattr(SimVenue, "cancel", lossy)
    outcome = simulate(CALM)
    assert outcome.violations == ()
    assert len(asked) > lost, "an order rested when it was to be flat"
    paused = [line for line in outcome.trace if "paused" in line]  # told when the flatten is over
    assert isinstance(paused[0][0], float)
    assert paused[0][0] - FLATTENED_S < 10.0, outcome.trace
