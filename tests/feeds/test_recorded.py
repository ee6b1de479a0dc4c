"""Recorded markets: every real file is read as it is, nothing is invented, restarts go on where they stopped."""

import csv
import gzip
from collections.abc import Iterable
from itertools import pairwise
from pathlib import Path

import pytest

from klined.domain import Bar, Batch, Purpose
from klined.errors import ConfigError
from klined.feeds.columns import read_columns
from klined.feeds.frames import FrameFault, frame_of
from klined.feeds.gaps import Step
from klined.feeds.generated import GeneratedFeed
from klined.feeds.recorded import CHUNK, RecordedFeed
from klined.feeds.recording import Recording
from klined.feeds.timeframe import TIMEFRAMES_MS

MINUTE_MS = 60_000
ETH = "ETH/USDT"


def rows(minutes: Iterable[int]) -> str:
    return "".join(f"{m * MINUTE_MS},{100 + m},{101 + m},{99 + m},{100.5 + m},{m}\n" for m in minutes)


def write(path: Path, text: str) -> Path:
    path.write_bytes(gzip.compress(text.encode()) if path.suffix == ".gz" else text.encode())
    return path


async def played(feed: RecordedFeed | GeneratedFeed, limit: int = 10**9) -> list[Batch]:
    found: list[Batch] = []
    while len(found) < limit and (batch := await feed.next()) is not None:
        found.append(batch)
    return found


def test_every_real_file_has_the_bars_gaps_and_duplicates_of_the_catalogue(shared_data: Path) -> None:
    with (shared_data / "catalog.csv").open() as file:
        entries = [
            row for row in csv.DictReader(file) if row["file"].endswith(".csv.gz") and row["tf"] in TIMEFRAMES_MS
        ]
    entries = [row for row in entries if row["file"].startswith(("ohlcv/", "vision_um_1m_raw/"))]
    assert len(entries) >= 50
    for row in entries:
        columns = read_columns(["X/Y"], TIMEFRAMES_MS[row["tf"]], [shared_data / row["file"]])["X/Y"]
        expected = (int(row["rows"]) - int(row["dups"]), int(row["gaps"]), int(row["missing"]), int(row["dups"]))
        found = (len(columns.times), columns.gaps, columns.missing, columns.dropped[Step.DUPLICATE])
        assert found == expected, row["file"]
        assert sum(columns.dropped.values()) == int(row["dups"]), row["file"]


async def test_gappy_file_loses_its_143_duplicates_and_invents_no_bar(shared_data: Path) -> None:
    path = shared_data / "ohlcv" / "spot_2019-10-15_11-14_gappy" / "BTCUSDT-1m.csv.gz"
    feed = RecordedFeed(["BTC/USDT"], MINUTE_MS, [path])
    batches = await played(feed)
    assert feed.columns["BTC/USDT"].dropped[Step.DUPLICATE] == 143
    assert len(batches) == 43_201 - 143
    steps = [b.close_time_ms - a.close_time_ms for a, b in pairwise(batches)]
    assert sum(step // MINUTE_MS - 1 for step in steps) == 143
    assert sum(step > MINUTE_MS for step in steps) == 2


async def test_bars_equal_the_file_number_by_number(shared_data: Path) -> None:
    path = shared_data / "small" / "ETHUSDT-1m_spot_2025-05_08.csv.gz"
    batches = await played(RecordedFeed([ETH], MINUTE_MS, [path]), CHUNK + 100)
    with gzip.open(path, "rt") as file:
        for batch, row in zip(batches, csv.DictReader(file), strict=False):
            expected = Bar(
                ETH, int(row["open_time"]), *(float(row[k]) for k in ("open", "high", "low", "close", "volume"))
            )
            assert batch == Batch(expected.open_time_ms + MINUTE_MS, (expected,))


async def test_twelve_symbols_share_batches_in_configured_order(shared_data: Path) -> None:
    files = sorted((shared_data / "ohlcv" / "spot_2021-04-20_05-20").iterdir())
    symbols = [f"{path.name.removesuffix('USDT-1m.csv.gz')}/USDT" for path in reversed(files)]
    feed = RecordedFeed(symbols, MINUTE_MS, files)
    batches = await played(feed)
    closes = [batch.close_time_ms for batch in batches]
    assert len(symbols) == 12
    assert closes == sorted(set(closes))
    assert sum(bar is not None for batch in batches for bar in batch.bars) == 514_983
    assert max(b - a for a, b in pairwise(closes)) == 284 * MINUTE_MS
    for batch in batches[:: len(batches) // 50]:
        for symbol, bar in zip(symbols, batch.bars, strict=True):
            assert bar is None or (bar.symbol == symbol and bar.open_time_ms + MINUTE_MS == batch.close_time_ms)
    assert None in batches[0].bars, "the files begin minutes apart"


async def test_recorded_frames_play_as_the_bars_they_held(shared_data: Path, tmp_path: Path) -> None:
    path = shared_data / "ws_frames" / "cryptofeed" / "BINANCE_FUTURES.ws.1.0.gz"
    symbols = ["SUSHI/USDT:USDT", "AKRO/USDT:USDT", "KEEP/USDT:USDT", "CTK/USDT:USDT"]
    (batch,) = await played(RecordedFeed(symbols, MINUTE_MS, [path]))
    assert [bar.symbol for bar in batch.bars if bar] == symbols
    with Recording(tmp_path / "frames.jsonl.gz") as recording:
        for bar in batch.bars:
            if bar is not None:
                recording.write(batch.close_time_ms, frame_of(bar, MINUTE_MS))
        recording.write(0, b"\xff not a frame")
    assert await played(RecordedFeed(symbols, MINUTE_MS, [tmp_path / "frames.jsonl.gz"])) == [batch]


async def test_killed_recording_is_good_up_to_its_last_flushed_frame(tmp_path: Path) -> None:
    bars = [Bar(ETH, m * MINUTE_MS, 1.0, 1.0, 1.0, 1.0, float(m)) for m in range(600)]
    path = tmp_path / "frames.jsonl.gz"
    with Recording(path) as recording:
        for bar in bars:
            recording.write(0, frame_of(bar, MINUTE_MS))
        on_disk = path.read_bytes()
    torn = write_bytes(tmp_path / "torn.jsonl.gz", on_disk)
    found = [batch.bars[0] for batch in await played(RecordedFeed([ETH], MINUTE_MS, [torn]))]
    assert len(found) >= 256
    assert found == bars[: len(found)]


def write_bytes(path: Path, data: bytes) -> Path:
    path.write_bytes(data)
    return path


def test_recording_never_overwrites_a_file(tmp_path: Path) -> None:
    path = write(tmp_path / "frames.jsonl.gz", "precious")
    with pytest.raises(ConfigError, match="left as it is"):
        Recording(path)


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ("300000,nan,101,99,100,1", FrameFault.NOT_FINITE),
        ("300000,100,inf,99,100,1", FrameFault.NOT_FINITE),
        ("300000,100,1e400,99,100,1", FrameFault.NOT_FINITE),
        ("300000,100,101,-99,100,1", FrameFault.NOT_POSITIVE),
        ("300000,100,101,0,100,1", FrameFault.NOT_POSITIVE),
        ("300000,100,101,99,100,-1", FrameFault.NOT_POSITIVE),
        ("300000,100,99,101,100,1", FrameFault.INCONSISTENT),
        ("300000,100,101,99,102,1", FrameFault.INCONSISTENT),
        ("300001,100,101,99,100,1", FrameFault.OFF_GRID),
        ("1747699200000000,100,101,99,100,1", FrameFault.MICROSECONDS),
        ("300000,,101,99,100,1", FrameFault.MALFORMED),
        ("300000,100,101", FrameFault.MALFORMED),
        ("what,is,this,line,doing,here", FrameFault.MALFORMED),
        ("240000,104,105,103,104.5,4", Step.DUPLICATE),
        ("60000,104,105,103,104.5,4", Step.OLDER),
    ],
)
async def test_bad_row_is_left_out_and_counted(tmp_path: Path, row: str, reason: str) -> None:
    path = write(
        tmp_path / "bars.csv", f"open_time,open,high,low,close,volume\n{rows(range(5))}{row}\n{rows(range(6, 9))}"
    )
    feed = RecordedFeed([ETH], MINUTE_MS, [path])
    batches = await played(feed)
    assert [batch.close_time_ms // MINUTE_MS for batch in batches] == [1, 2, 3, 4, 5, 7, 8, 9]
    assert {name: count for name, count in feed.columns[ETH].dropped.items() if count} == {reason: 1}
    assert (feed.columns[ETH].gaps, feed.columns[ETH].missing) == (1, 1)


@pytest.mark.parametrize(
    ("name", "text", "sentence"),
    [
        ("bars.csv", "", "no bars of ETH/USDT"),
        ("bars.csv", "open_time,open\n", "no bars of ETH/USDT"),
        ("bars.csv", rows(range(0, 100, 5)), "holds 5m bars, market.timeframe is 1m"),
        ("bars.csv.gz", "", "no bars"),
        ("bars.csv", "1747699200000000,1,1,1,1,1\n1747699260000000,1,1,1,1,1\n", "microseconds"),
    ],
)
def test_useless_file_is_refused_with_a_sentence(tmp_path: Path, name: str, text: str, sentence: str) -> None:
    with pytest.raises(ConfigError, match=sentence):
        RecordedFeed([ETH], MINUTE_MS, [write(tmp_path / name, text)])


def test_unreadable_files_are_refused_with_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no file"):
        RecordedFeed([ETH], MINUTE_MS, [tmp_path / "none.csv"])
    torn = write_bytes(tmp_path / "torn.csv.gz", gzip.compress(rows(range(1000)).encode())[:-50])
    with pytest.raises(ConfigError, match="cannot read"):
        RecordedFeed([ETH], MINUTE_MS, [torn])
    with pytest.raises(ConfigError, match="belongs to no symbol"):
        RecordedFeed([ETH, "BTC/USDT"], MINUTE_MS, [write(tmp_path / "DOGEUSDT.csv", rows(range(3)))])


async def test_several_files_of_a_symbol_join_in_order_of_time(tmp_path: Path) -> None:
    late = write(tmp_path / "ETHUSDT-b.csv", rows(range(5, 9)))
    early = write(tmp_path / "ETHUSDT-a.csv", rows(range(6)))
    batches = await played(RecordedFeed([ETH], MINUTE_MS, [late, early]))
    assert [batch.close_time_ms // MINUTE_MS for batch in batches] == list(range(1, 10))


@pytest.mark.parametrize("kill_at", [0, 1, 99, 100, 101, 2_500])
@pytest.mark.parametrize("symbols", [[ETH], [ETH, "BTC/USDT"]])
async def test_restart_at_any_batch_shows_the_rest_and_nothing_twice(
    tmp_path: Path, symbols: list[str], kill_at: int
) -> None:
    write(tmp_path / "ETHUSDT.csv", rows(m for m in range(3_000) if m % 7))
    write(tmp_path / "BTCUSDT.csv", rows(m for m in range(3_000) if m % 5))
    files = [tmp_path / f"{symbol.replace('/', '')}.csv" for symbol in symbols]

    async def life(after_ms: int | None) -> list[Batch]:
        feed = RecordedFeed(symbols, MINUTE_MS, files, bars=2_300)
        return [*await feed.history(100, after_ms), *await played(feed)]

    whole = await life(None)
    assert len(whole) == 2_400
    assert [batch.purpose for batch in whole] == [Purpose.WARMUP] * 100 + [Purpose.TRADE] * 2_300
    at = min(kill_at, len(whole) - 1)
    assert await life(whole[at].close_time_ms) == whole[at + 1 :]


@pytest.mark.parametrize("kill_at", [0, 99, 100, 250, 399])
async def test_made_up_market_restarts_where_it_stopped(kill_at: int) -> None:
    async def life(after_ms: int | None) -> list[Batch]:
        feed = GeneratedFeed([ETH, "BTC/USDT"], MINUTE_MS, seed=3, bars=300)
        return [*await feed.history(100, after_ms), *await played(feed)]

    whole = await life(None)
    assert len(whole) == 400
    assert [batch.purpose for batch in whole[98:102]] == [Purpose.WARMUP] * 2 + [Purpose.TRADE] * 2
    assert await life(whole[kill_at].close_time_ms) == whole[kill_at + 1 :]


async def test_closed_feed_has_no_next_batch() -> None:
    feed = GeneratedFeed([ETH], MINUTE_MS)
    assert await feed.next() is not None
    await feed.close()
    assert await feed.next() is None


async def test_scenarios_lie_over_what_is_traded_and_not_over_the_warm_up(tmp_path: Path) -> None:
    file = tmp_path / "ETHUSDT-1m.csv"
    rows = [(i * MINUTE_MS, 100.0, 101.0, 99.0, 100.0, 5.0) for i in range(200)]
    file.write_text("".join(",".join(map(repr, row)) + "\n" for row in rows))
    texts = ["outage:start=10,bars=5,depth=0.1", "bad_klines:start=20,bars=50,share=1"]
    calm, troubled = RecordedFeed([ETH], MINUTE_MS, [file]), RecordedFeed([ETH], MINUTE_MS, [file], scenarios=texts)
    assert await troubled.history(40, None) == await calm.history(40, None)
    found = await played(troubled)
    assert len(found) == 155
    assert [batch.bars[0].close for batch in found if batch.bars[0]] == [100.0] * 10 + [90.0] * 145
    assert troubled.gaps() == {ETH: (1, 5)}
    assert sum(troubled.dropped().values()) == 50
    with pytest.raises(ConfigError, match="did you mean outage"):
        RecordedFeed([ETH], MINUTE_MS, [file], scenarios=["outrage"])


async def test_a_generated_market_under_scenarios_is_the_same_after_a_restart() -> None:
    def made() -> GeneratedFeed:
        texts = ["volatility:start=5,bars=40,factor=4", "outage:start=20,bars=5"]
        return GeneratedFeed([ETH], MINUTE_MS, seed=3, bars=100, scenarios=texts)

    whole = made()
    await whole.history(30, None)
    found = await played(whole)
    assert [late.close_time_ms - early.close_time_ms for early, late in pairwise(found)].count(6 * MINUTE_MS) == 1
    again = made()
    await again.history(30, found[49].close_time_ms)
    assert (await played(again))[:40] == found[50:90]
