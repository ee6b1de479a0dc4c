"""Made-up markets and accounts for the lanes' tests, seeded."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from msgspec.structs import replace

from klined.backtest.history import Floats, History, funding_of
from klined.backtest.lanes import Terms
from klined.domain import Instrument, MarketKind
from klined.trader.book import Costs
from klined.trader.limits import Limits
from klined.world.filters import default_instrument
from klined.world.markets import Market, generated_funding

MINUTE = 60_000
START_MS = 1_577_836_800_000
COSTS = Costs(half_spread=1e-4, impact=1.0, participation=0.1)
WIDE = {
    "max_exposure": 0.5,
    "max_day_loss": 1.0,
    "max_week_loss": 1.0,
    "max_drawdown": 1.0,
    "reduce_drawdown": 1.0,
    "max_losses": 1000,
    "max_trades_hour": 1000,
    "max_trades_day": 10_000,
    "max_turnover_day": 1000.0,
    "max_fees_day": 1.0,
    "collar_sigma": 1000.0,
    "max_volume_fraction": 1.0,
    "max_leverage": 20.0,
    "max_gross": 20.0,
    "max_net": 20.0,
    "max_symbol": 20.0,
    "max_cluster": 20.0,
}
STOPS = {
    "stop_fixed": 0.004,
    "stop_trail_atr": 8.0,
    "stop_break_even_atr": 5.0,
    "stop_sigma": 6.0,
    "stop_minutes": 45.0,
}


def bars_of(symbols: Sequence[str], count: int, seed: int = 7) -> Floats:
    """Shape (n, count, 6)."""
    market = Market(seed, symbols, MINUTE, START_MS)
    return np.stack(list(market.arrays(count).values()))


def spot(*symbols: str) -> list[Instrument]:
    return [default_instrument(symbol, MarketKind.SPOT) for symbol in symbols]


def perps(*symbols: str) -> list[Instrument]:
    return [replace(default_instrument(symbol, MarketKind.PERP), funding_interval_ms=3_600_000) for symbol in symbols]


def history(bars: Floats, instruments: Sequence[Instrument], seed: int = 7) -> History:
    """`bars` with made-up funding where the instruments are perpetuals."""
    rates = generated_funding(seed) if instruments[0].kind is MarketKind.PERP else None
    times = np.nanmax(bars[..., 0], axis=0).astype(np.int64)
    return History(MINUTE, bars, funding_of(bars, instruments, MINUTE, rates), times)


def terms(*, long_only: bool = False, balance: float = 10_000.0, **limits: float) -> Terms:
    """Wide limits, changed by `limits`."""
    return Terms(Limits(**{**WIDE, **limits}, long_only=long_only), COSTS, balance)  # type: ignore[arg-type]  # some are int


def holed(bars: Floats, seed: int) -> Floats:
    """Some bars of every symbol but the first did not come."""
    left_out = np.random.default_rng(seed).random(bars.shape[:2]) < 0.03
    left_out[0] = False
    holes = bars.copy()
    holes[left_out] = np.nan
    return holes


def write_csv(path: Path, bars: Floats) -> Path:
    """The bars as `klined replay` reads them."""
    lines = [f"{int(row[0])},{','.join(map(repr, row[1:]))}" for row in bars.tolist() if row[4] > 0.0]
    path.write_text("open_time,open,high,low,close,volume\n" + "\n".join(lines) + "\n")
    return path
