"""Every performance figure of klined in one table: `python -m benchmarks [--check] [--only NAME] [--json FILE]`.

Figures hold for a quiet machine; the ratios against baselines that ran a moment before are what counts.
"""

import argparse
import sys
from collections.abc import Callable, Iterable
from pathlib import Path

from benchmarks import cli, daemon, engine, envs, lane, replay, table, wire
from benchmarks.process import Absent
from benchmarks.table import Row

Measure = Callable[[], Iterable[Row]]

TOPICS: dict[str, Measure] = {
    "replay": replay.rows,
    "lane": lane.rows,
    "engine": engine.rows,
    "envs": envs.rows,
    "daemon": daemon.rows,
    "wire": wire.rows,
    "cli": cli.rows,
}


def measured(topic: str) -> list[Row]:
    """Rows of one topic; a topic that cannot run at all is one row that says so."""
    try:
        return list(TOPICS[topic]())
    except (Absent, ImportError) as why:
        return [table.absent(topic, "", str(why))]


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--check", action="store_true", help="exit 1 when a bar is missed")
    parser.add_argument("--only", choices=TOPICS, action="append", help="measure these topics")
    parser.add_argument("--json", type=Path, default=table.RESULT, help="where the rows are written")
    wanted = parser.parse_args()
    rows = []
    for topic in wanted.only or TOPICS:
        print(f"measuring {topic} ...", file=sys.stderr, flush=True)
        rows += measured(topic)
    print(table.table(rows))
    table.write(rows, wanted.json)
    missed, apart = ([row.name for row in rows if row.verdict == verdict] for verdict in ("MISS", "?"))
    if missed:
        print(f"\nmissed: {', '.join(missed)}")
    if apart:
        print(f"\nwithout their baseline, and so not judged: {', '.join(apart)}")
    return 1 if missed and wanted.check else 0


if __name__ == "__main__":
    sys.exit(main())
