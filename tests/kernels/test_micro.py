"""Order book and trades: features of real frames are their definitions, computed apart; what is not told is masked."""

import gzip
import json
from pathlib import Path

import numpy as np
import pytest
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from kernels.declared import alone, by_table, compiled, interpreted, values
from klined.backtest.calibration import calibrate, walk
from klined.domain import Bar
from klined.errors import ConfigError
from klined.feeds.depth import Book, Quote, _Event, order_flow, read_tape
from klined.kernels import micro
from klined.trader.engine import Engine
from klined.trader.plans import declared_plan
from klined.trader.programs import build

Floats = NDArray[np.float64]
FRAMES = {"spot_ethusdt": "ETH/USDT", "usdm_ethusdt": "ETH/USDT:USDT", "spot_btcusdt": "BTC/USDT"}
STEP_MS = 2_000
DECLARED = (
    *("book.known", "book.spread", "book.microprice", "book.ofi(5)", "trades.known", "trades.imbalance(5)"),
    *("trades.vpin(5)", *(f"book.imbalance({k})" for k in micro.LEVELS)),
)


@pytest.fixture(scope="module", params=FRAMES)
def frames(request: pytest.FixtureRequest, shared_data: Path) -> tuple[Path, str]:
    path = shared_data / f"ws_frames/hftbacktest/{request.param}_20240808.gz"
    if not path.exists():
        pytest.skip(f"no frames at {path}")
    return path, FRAMES[request.param]


def wide(bars: list[Bar]) -> Floats:
    """Rows as kernels take them; what was not told is left out of all or none."""
    return np.array([(b.open_time_ms, b.open, b.high, b.low, b.close, b.volume, *b.micro) for b in bars])


class Seen:
    """The frames as arrays: quotes (time, bid, size, ask, size), trades (time, price, size, bought), books by bar."""

    def __init__(self, path: Path) -> None:
        quotes, trades = [], []
        self.books: dict[int, tuple[list[float], list[float]]] = {}
        sides: tuple[dict[float, float], dict[float, float]] | None = None
        kept, bucket = [], -1
        with gzip.open(path, "rt") as lines:
            for line in lines:
                stamp, _, text = line.partition(" ")
                time, told = int(stamp) // 1_000_000, json.loads(text)
                if time // STEP_MS != bucket:
                    if sides is not None:
                        self.books[bucket] = tuple(  # type: ignore[assignment]  # a pair
                            [side[p] for p in sorted(side, reverse=not k)[: micro.LEVELS[-1]]]
                            for k, side in enumerate(sides)
                        )
                    bucket = time // STEP_MS
                data = told.get("data", told)
                if "lastUpdateId" in data:
                    sides = tuple({float(p): float(q) for p, q in data[side]} for side in ("bids", "asks"))  # type: ignore[assignment]  # a pair
                    for update in kept:
                        if update["u"] > data["lastUpdateId"]:
                            self._apply(sides, update)  # type: ignore[arg-type]  # set above
                elif data.get("e") == "depthUpdate":
                    if sides is None:
                        kept.append(data)
                    else:
                        self._apply(sides, data)
                elif data.get("e") == "trade":
                    trades.append((time, float(data["p"]), float(data["q"]), not data["m"]))
                else:
                    quotes.append((time, *(float(data[key]) for key in "bBaA")))
        self.quotes, self.trades = np.array(quotes), np.array([trade for trade in trades if trade[1] > 0.0])

    @staticmethod
    def _apply(sides: tuple[dict[float, float], dict[float, float]], update: dict[str, list[tuple[str, str]]]) -> None:
        for side, key in zip(sides, "ba", strict=True):
            side.update({float(p): float(q) for p, q in update[key]})
            for price in [price for price, size in side.items() if size == 0.0]:
                del side[price]


def rolled(x: Floats, n: int) -> Floats:
    return sliding_window_view(x, n).sum(axis=1)


def test_features_of_real_frames_are_their_definitions(frames: tuple[Path, str]) -> None:
    path, symbol = frames
    bars, seen = read_tape(path, symbol, STEP_MS), Seen(path)
    rows = wide(bars)
    out = dict(zip(DECLARED, alone(rows, DECLARED).T, strict=True))
    buckets = rows[:, 0].astype(int) // STEP_MS
    assert len(bars) > 100

    bid, bid_size, ask, ask_size = seen.quotes[:, 1:].T
    up, down = bid[1:] - bid[:-1], ask[1:] - ask[:-1]
    flows = (
        (up >= 0) * bid_size[1:] - (up <= 0) * bid_size[:-1] - (down <= 0) * ask_size[1:] + (down >= 0) * ask_size[:-1]
    )
    place = seen.quotes[:, 0].astype(int) // STEP_MS
    flow = np.array([flows[place[1:] == bucket].sum() for bucket in buckets])
    touch = np.array([(0.5 * (bid_size + ask_size))[place == bucket].mean() for bucket in buckets])
    last = np.searchsorted(place, buckets, "right") - 1
    middle = 0.5 * (bid + ask)[last]
    fair = ((bid * ask_size + ask * bid_size) / (bid_size + ask_size))[last]
    told = np.searchsorted(seen.trades[:, 0].astype(int) // STEP_MS, buckets, "left")
    ends = np.searchsorted(seen.trades[:, 0].astype(int) // STEP_MS, buckets, "right")
    bought = np.array([seen.trades[a:b, 2][seen.trades[a:b, 3] > 0].sum() for a, b in zip(told, ends, strict=True)])
    sold = np.array([seen.trades[a:b, 2][seen.trades[a:b, 3] == 0].sum() for a, b in zip(told, ends, strict=True)])

    assert (out["book.known"] == 1.0).all()
    assert (out["trades.known"] == 1.0).all()
    near(out["book.spread"], ((ask - bid)[last]) / middle)
    near(out["book.microprice"], (fair - middle) / middle)
    near(out["book.ofi(5)"][4:], rolled(flow, 5) / rolled(touch, 5))
    near(out["trades.imbalance(5)"][4:], rolled(bought - sold, 5) / rolled(bought + sold, 5))
    near(out["trades.vpin(5)"][4:], rolled(abs(bought - sold), 5) / rolled(bought + sold, 5))
    for k in micro.LEVELS:
        sums = np.array([[sum(side[:k]) for side in seen.books[bucket]] for bucket in buckets])
        near(out[f"book.imbalance({k})"], (sums[:, 0] - sums[:, 1]) / sums.sum(axis=1))
    assert np.ptp(out["book.imbalance(5)"]) > 0.5


def near(ours: Floats, theirs: Floats) -> None:
    assert np.abs(ours - theirs).max() <= 1e-9 * max(1.0, np.abs(theirs).max())


def test_every_build_gives_the_same_bytes_of_what_is_told_and_of_what_is_not(walk: Floats) -> None:
    program = build([*DECLARED, "ema(trades.imbalance(3), 9)", "close"])
    told = np.hstack([walk[:300], np.abs(np.random.default_rng(1).normal(size=(300, micro.MICRO)))])
    told[100:150, 6 + micro.TAKEN] = told[200:250, 6 + micro.SPREAD] = -1.0
    for bars in (told, walk[:300], told[:, :7]):
        table = by_table(program, bars)
        for found in (interpreted(program, bars), compiled(program, bars), compiled(program, bars, boundscheck=True)):
            assert (table[0].tobytes(), table[1]) == (found[0].tobytes(), found[1])


def test_what_no_feed_told_is_zero_and_masked(walk: Floats) -> None:
    out = dict(zip(DECLARED, values(walk[:200], *DECLARED).T, strict=True))
    for name, column in out.items():
        assert (column[10:] == 0.0).all(), name
    taken = np.hstack([walk[:200], walk[:200, 5:6] * 0.75])  # as klines tell it: no book
    out = dict(zip(DECLARED, alone(taken, DECLARED).T, strict=True))
    assert (out["trades.known"] == 1.0).all()
    assert (out["book.known"] == 0.0).all()
    near(out["trades.imbalance(5)"][4:], np.full(196, 0.5))
    near(out["trades.vpin(5)"][4:], np.full(196, 0.5))


def test_engine_shows_a_bar_what_its_feed_told_beside() -> None:
    plan = declared_plan("mine", ["trades.imbalance(1)", "trades.known", "book.known", "position"])
    engine = Engine(plan, 1)
    engine.step(0, Bar("ETH/USDT", 0, 1.0, 1.0, 1.0, 1.0, 8.0, (6.0,)))
    assert list(engine.features.row[0]) == [0.5, 1.0, 0.0]
    engine.step(0, Bar("ETH/USDT", 60_000, 1.0, 1.0, 1.0, 1.0, 8.0))
    assert list(engine.features.row[0]) == [0.0, 0.0, 0.0]


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("book.imbalance(7)", "not one of"),
        ("book.imbalance(5)@5m", "leave the @ out"),
        ("book.imbalanse(5)", "did you mean 'book.imbalance'"),
        ("trades.vpin(0)", "n is 0"),
    ],
)
def test_unknown_parts_of_the_book_are_named(text: str, fault: str) -> None:
    with pytest.raises(ConfigError, match=fault):
        build([text])


def update(first: int, last: int, **sides: list[tuple[str, str]]) -> _Event:
    return _Event(e="depthUpdate", U=first, u=last, b=sides.get("b", []), a=sides.get("a", []))


def test_book_that_misses_an_update_is_forgotten_until_the_next_snapshot() -> None:
    book, snapshot = Book(), _Event(lastUpdateId=10, bids=[("9", "1")], asks=[("11", "2")])
    book.update(update(9, 11, b=[("9.5", "3")]))  # before the snapshot: kept, and told after it
    book.snapshot(snapshot)
    assert book.best(2) == ([(9.5, 3.0), (9.0, 1.0)], [(11.0, 2.0)])
    book.update(update(12, 13, a=[("11", "0"), ("12", "4")]))
    assert book.known
    assert book.best(1) == ([(9.5, 3.0)], [(12.0, 4.0)])
    book.update(update(15, 16))
    assert not book.known
    book.snapshot(_Event(lastUpdateId=16, bids=[("8", "1")], asks=[]))
    assert book.known
    assert book.best(1) == ([(8.0, 1.0)], [])


def test_order_flow_counts_growing_bids_and_shrinking_asks_as_demand() -> None:
    before = Quote(10.0, 5.0, 11.0, 7.0)
    assert order_flow(before, Quote(10.0, 8.0, 11.0, 7.0)) == 3.0
    assert order_flow(before, Quote(10.0, 5.0, 11.0, 4.0)) == 3.0
    assert order_flow(before, Quote(10.5, 2.0, 11.0, 7.0)) == 2.0
    assert order_flow(before, Quote(9.5, 2.0, 10.5, 3.0)) == -8.0


def test_costs_are_measured_on_a_real_book(frames: tuple[Path, str]) -> None:
    path, symbol = frames
    found = calibrate(path, symbol)
    assert 0.001 < found.half_spread_bps < 0.1
    assert found.half_spread_bps < found.half_spread_worst_bps < 2.0
    assert 0.05 < found.impact < 2.0
    assert found.error_bps < 1.0
    with pytest.raises(ConfigError, match="give more"):
        calibrate(path, symbol, 3_600_000)


def test_walk_through_a_book_pays_the_levels_it_takes() -> None:
    side = [(100.0, 2.0), (101.0, 2.0)]
    assert walk(side, 1.0) == 0.0
    assert walk(side, 4.0) == pytest.approx(0.005)
    assert walk(side, 5.0) is None
