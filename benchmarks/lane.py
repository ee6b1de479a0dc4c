"""The EMA cross on one compiled lane against vectorbt on the same bars, both warm.

The lane does what `klined replay` does to the same account: features, observation, all checks of the gate, sizing in
lots, fills with spread, impact and participation, the ledger, equity at every bar.
"""

import time
from collections.abc import Iterator
from pathlib import Path
from statistics import median

import numpy as np

from benchmarks import bars
from benchmarks.process import Absent, peer
from benchmarks.table import Row, row
from klined.backtest.history import History
from klined.backtest.lanes import EmaCross, Terms, run
from klined.config.load import load
from klined.policies.registry import load_policy
from klined.runtime.assembly import make_instruments, make_limits
from klined.trader.book import Costs
from klined.trader.plans import ETH15

RUNS = 5
TURNS = 3  # of each, one after the other, so that a busy machine slows both
SETTINGS = Path(__file__).with_name("replay.toml")


def measured() -> tuple[float, int]:
    """Median bars per second of one lane after it was compiled, and its fills."""
    settings = load(SETTINGS)
    rows = np.load(bars.stored())
    history = History(bars.MINUTE_MS, rows[np.newaxis], np.zeros((1, 0, 2)), rows[:, 0].astype(np.int64))
    costs = settings.costs
    terms = Terms(
        make_limits(settings, load_policy("ema_cross"), ETH15),
        Costs(half_spread=costs.half_spread_bps * 1e-4, impact=costs.impact, participation=costs.participation),
        float(settings.paper.balance),
    )
    instruments, policy, seconds, fills = make_instruments(settings), EmaCross(long=1.0, short=0.0), [], 0
    for turn in range(RUNS + 1):
        begun = time.perf_counter()
        (result,) = run(history, instruments, [terms], policy)
        if turn:
            seconds.append(time.perf_counter() - begun)
        fills = len(result.fills)
    return len(rows) / median(seconds), fills


def rows() -> Iterator[Row]:
    baseline, ours, theirs, excuse, fills = "vectorbt", [], [], "", 0
    for _ in range(TURNS):
        rate, fills = measured()
        ours.append(rate)
        try:
            told = peer("vectorbt", "vectorbt_ema_cross.py")
        except Absent as why:
            excuse = str(why)
        else:
            baseline = f"vectorbt {told['version']}"
            theirs.append(float(told["rate"]))
    yield row(
        "lane.ema_cross",
        median(ours),
        "bars/s",
        at_least=10_000_000,
        baseline=baseline,
        baseline_value=median(theirs) if theirs else None,
        ratio_min=3,
        note=excuse or f"{fills} fills",
    )
