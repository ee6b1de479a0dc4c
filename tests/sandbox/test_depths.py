"""Whoever keeps a copy of a book by the documented rules has the exchange's own book after every diff."""

import asyncio
from typing import Any

import pytest

from klined.sandbox.depths import Depths
from klined.sandbox.settings import SandboxSettings
from sandbox.wire import Wire

START_MS = 1_800_000_000_000  # the first seconds of a bar: what follows its close is told with the next move only
SIDES = (("bids", "b"), ("asks", "a"))


@pytest.fixture
def settings() -> SandboxSettings:
    return SandboxSettings(port=0, speed=0.0, history=200, start_ms=START_MS)


class Copy:
    """A local order book, as the documentation says how to keep one."""

    def __init__(self, snapshot: Any) -> None:
        self.last = snapshot["lastUpdateId"]
        self.sides = {name: {float(p): float(q) for p, q in snapshot[name]} for name, _ in SIDES}
        self.begun = False

    def apply(self, event: Any) -> None:
        if event["u"] <= self.last:
            return
        assert event["U"] <= self.last + 1, "a gap"
        assert not self.begun or event.get("pu", self.last) == self.last
        self.begun, self.last = True, event["u"]
        for name, short in SIDES:
            for price, size in event[short]:
                self.sides[name].pop(float(price), None)
                if float(size):
                    self.sides[name][float(price)] = float(size)

    def best(self) -> dict[str, list[tuple[float, float]]]:
        return {
            "bids": sorted(self.sides["bids"].items(), reverse=True)[:20],
            "asks": sorted(self.sides["asks"].items())[:20],
        }


def shown(snapshot: Any) -> dict[str, list[tuple[float, float]]]:
    return {name: [(float(p), float(q)) for p, q in snapshot[name][:20]] for name, _ in SIDES}


@pytest.mark.parametrize(
    ("stream", "path"),
    [("/ws/ethusdt@depth@100ms", "/api/v3/depth"), ("/public/ws/ethusdt@depth@100ms", "/fapi/v1/depth")],
)
async def test_a_copy_kept_by_diffs_is_the_book(wire: Wire, stream: str, path: str) -> None:
    perp = path.startswith("/fapi")
    async with wire.http.ws_connect(wire.ws + stream) as socket:
        await wire.step(700)
        copy = Copy(await wire.call("GET", path, symbol="ETHUSDT", limit=1000))
        await wire.shock(1.01)  # a snapshot between two diffs: what it shows has to go again
        for turn in range(12):
            await wire.market("BUY" if turn % 2 else "SELL", "0.2", perp=perp)
            await wire.step(900)
            book = await wire.call("GET", path, symbol="ETHUSDT", limit=1000)
            async with asyncio.timeout(5):  # a copy that never becomes the book is the failure
                while copy.best() != shown(book):
                    copy.apply(await socket.receive_json())
            assert copy.best()["bids"][0][0] < copy.best()["asks"][0][0]


def test_a_level_that_is_gone_is_told_once() -> None:
    depths = Depths()
    first = {"lastUpdateId": 1, "bids": [["9", "1"], ["8", "2"]], "asks": []}
    second = {"lastUpdateId": 2, "bids": [["9", "3"]], "asks": []}
    assert depths.diff("s", first) == (0, [["9", "1"], ["8", "2"]], [])
    assert depths.diff("s", first) is None
    assert depths.diff("s", second) == (1, [["9", "3"], ["8", "0.00000000"]], [])
    assert depths.diff("s", {**second, "lastUpdateId": 3}) is None  # an empty diff is not sent
    assert depths.diff("s", {"lastUpdateId": 4, "bids": [], "asks": []}) == (2, [["9", "0.00000000"]], [])
