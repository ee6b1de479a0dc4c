"""A sped-up process: its timers and its clock keep their proportion, and a test network's time cannot be sped up."""

import asyncio
import contextlib
import time

import pytest

from klined.config.faults import ConfigFaults
from klined.config.load import load
from klined.runtime.clock import HurriedClock
from klined.runtime.hurry import HurriedLoop


def test_a_minute_passes_in_the_fraction_of_it_that_was_asked_for() -> None:
    async def minute() -> tuple[float, float]:
        clock = HurriedClock(600.0)
        began_s, began_ms = clock.monotonic_s(), clock.now_ms()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(60.0):
                await asyncio.Event().wait()
        return clock.monotonic_s() - began_s, (clock.now_ms() - began_ms) / 1000

    began_s = time.monotonic()
    with asyncio.Runner(loop_factory=lambda: HurriedLoop(600.0)) as runner:
        passed_s, told_s = runner.run(minute())
    assert time.monotonic() - began_s < 10
    assert passed_s >= 60
    assert told_s == pytest.approx(passed_s, abs=5.0)


def test_a_hurried_clock_begins_where_it_is_told_and_keeps_its_pace() -> None:
    clock = HurriedClock(60.0)
    before_ms = clock.now_ms()
    clock.shift(3_600_000)
    assert clock.now_ms() - before_ms >= 3_600_000
    clock.offset_ms = 250
    assert clock.now_ms() - before_ms >= 3_600_250


@pytest.mark.parametrize("url", ["", "https://testnet.binance.vision", "http://127.0.0.1.example.com"])
def test_only_an_exchange_on_this_machine_may_run_faster(url: str) -> None:
    words = ["market.exchange=binance", "mode.paper=false", "exchange.speed=60", f"exchange.rest_url={url}"]
    with pytest.raises(ConfigFaults, match="sandbox on this machine"):
        load(None, words, {})
    assert load(None, [*words[:3], "exchange.rest_url=http://127.0.0.1:9900"], {}).exchange.speed == 60.0
