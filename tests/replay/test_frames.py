"""Recorded frames through the live parser, into batches, through the whole daemon."""

import asyncio
import gzip
import sqlite3
from collections.abc import Iterable, Sequence
from contextlib import closing
from pathlib import Path

from klined.config.settings import Settings
from klined.domain import Bar, Batch, Reason
from klined.feeds.batches import BatchAssembler
from klined.feeds.columns import read_columns
from klined.feeds.frames import FrameParser, frame_of
from klined.runtime.assembly import assemble
from klined.runtime.loop import VirtualLoop
from klined.runtime.process import REPLAY_ID, run_replay
from klined.store.digests import digest
from klined.store.synchronous import SyncJournal
from klined.testing import ScriptedFeed
from replay.outcomes import expected, outcome
from replay.worlds import PERP, WORLDS, World

FRAMES = World(
    "cryptofeed_frames",
    ("ws_frames/cryptofeed/BINANCE_FUTURES.ws.1.0.gz",),
    ("SUSHI/USDT:USDT", "CTK/USDT:USDT", "AKRO/USDT:USDT", "KEEP/USDT:USDT"),
    kind="perp",
    more=PERP,
)
MINUTE_MS = 60_000


def batches(frames: Iterable[bytes], symbols: Sequence[str]) -> list[Batch]:
    """What the live feed would hand on."""
    parser, assembler = FrameParser(symbols, MINUTE_MS), BatchAssembler(symbols, MINUTE_MS, grace_ms=3_000)
    found: list[Batch] = []
    for frame in frames:
        heard = parser.parse(frame)
        if isinstance(heard, Bar):
            found += assembler.add(heard)
    return [*found, *assembler.due(2**60)]


def play(settings: Settings, shown: Sequence[Batch]) -> Path:
    """The journal of a daemon that is fed these batches."""

    async def serve() -> Path:
        settings.state_dir.mkdir()
        journal = SyncJournal(settings.state_dir / "journal.db")
        daemon = await assemble(settings, journal=journal, installation=REPLAY_ID)
        daemon.feed = daemon.pipeline.feed = ScriptedFeed(shown)
        assert await daemon.serve() == 0
        await journal.close()
        return journal.path

    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        return runner.run(serve())


def test_recorded_frames_of_binance_become_decisions(shared_data: Path, tmp_path: Path) -> None:
    with gzip.open(shared_data / FRAMES.files[0]) as lines:
        frames = [line[line.find(b"{") :] for line in lines if b"{" in line]
    shown = batches(frames, FRAMES.symbols)
    assert [len(batch.bars) for batch in shown] == [4]
    assert all(shown[0].bars), "four closed klines among 1,535 frames"
    live = play(FRAMES.settings(shared_data, tmp_path / "live", "ema_cross"), shown)
    told: dict[str, object] = {}
    assert run_replay(FRAMES.settings(shared_data, tmp_path / "file", "ema_cross"), told) == 0
    assert told["digest"] == digest(live), "the recorded feed reads the file by the same parser"
    with closing(sqlite3.connect(live)) as link:
        assert link.execute("SELECT DISTINCT reason FROM decisions").fetchall() == [(int(Reason.WARMUP),)]
    found = outcome(live, 10_000.0)
    assert found == expected("cryptofeed_frames/ema_cross", found)


def test_bars_sent_as_frames_decide_as_bars_read_from_a_file(shared_data: Path, tmp_path: Path) -> None:
    """With klines that are still open, repeats and rubbish in between, as a socket would bring them."""
    world = World("as_frames", WORLDS[0].files, rows=3_000)
    told: dict[str, object] = {}
    settings = world.settings(shared_data, tmp_path / "file", "ema_cross")
    assert run_replay(settings, told) == 0

    columns = read_columns(world.symbols, MINUTE_MS, settings.market.files)[world.symbols[0]]
    frames: list[bytes] = []
    for time, prices in zip(columns.times.tolist(), columns.values.tolist(), strict=True):
        closed = frame_of(Bar(world.symbols[0], time, *prices), MINUTE_MS)
        frames += [closed.replace(b'"x":true', b'"x":false'), closed, closed, b'{"e":"aggTrade"}', b"{"]
    live = play(world.settings(shared_data, tmp_path / "live", "ema_cross"), batches(frames, world.symbols))
    assert digest(live) == told["digest"]
