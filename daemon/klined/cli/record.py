"""The verb that keeps a feed's raw frames: record."""

import argparse
import asyncio
import signal
import time
from contextlib import suppress
from pathlib import Path

from klined.cli.options import load_settings
from klined.cli.output import emit
from klined.config.settings import Settings
from klined.feeds.frames import frame_of
from klined.feeds.recording import Recording
from klined.ports import Feed
from klined.runtime.assembly import make_feed


def record_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("file", type=Path, metavar="FILE", help="to write, like frames.jsonl.gz; must not exist")
    parser.add_argument("--minutes", type=float, metavar="M", help="how long; else until Ctrl+C")
    parser.add_argument("--bars", type=int, metavar="N", help="end after N closed bars")


def record(args: argparse.Namespace) -> int:
    """Frames as they come in, until the time or the bars are over; klined replay plays them."""
    settings = load_settings(args)
    feed = make_feed(settings)
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # as Ctrl+C: the usual end
    with Recording(args.file) as recording, suppress(KeyboardInterrupt):
        asyncio.run(_record(settings, feed, recording, args))
    if args.json:
        emit({"file": str(args.file), "frames": recording.frames})
    else:
        print(f"wrote {recording.frames} frames to {args.file}; play them: klined replay {args.file}")
    return 0


async def _record(settings: Settings, feed: Feed, recording: Recording, args: argparse.Namespace) -> None:
    """A feed with a `tap` shows every frame; of others, each bar is written as the frame it would have been."""
    tapped = hasattr(feed, "tap")
    if tapped:
        feed.tap = lambda frame: recording.write(time.time_ns() // 1_000_000, frame)  # type: ignore[attr-defined]
    left = args.bars or -1
    try:
        async with asyncio.timeout(args.minutes * 60 if args.minutes else None):
            while left and (batch := await feed.next()) is not None:
                for bar in batch.bars:
                    if bar is not None and not tapped:
                        recording.write(batch.close_time_ms, frame_of(bar, settings.market.interval_ms))
                left -= 1
    except TimeoutError:
        pass  # the time that was asked for
    finally:
        await feed.close()
