"""The limits of the gate in a person's units, and how they become the row P that the kernels read."""

from dataclasses import dataclass, field, fields
from typing import Any

from klined.errors import ConfigError
from klined.kernels import layout as at
from klined.kernels.rows import Row

MINUTE_MS = 60_000.0
SECOND_MS = 1_000.0


def setting(default: Any, least: float, most: float, says: str, slot: int, scale: float = 1.0) -> Any:
    """A limit in [least, most]: `says` what it means, `slot` its place in P, `scale` from its unit to the kernels'."""
    return field(default=default, metadata={"least": least, "most": most, "says": says, "slot": slot, "scale": scale})


@dataclass(frozen=True, kw_only=True)
class Limits:
    """Every limit, with defaults that are safe for one symbol; each field's metadata has its range and its meaning.

    Fractions and multiples are of equity where nothing else is said. The protective exits (`stop_*`) are off at 0.

    Raises:
        ConfigError: a value outside its range, all of them at once.
    """

    max_exposure: float = setting(1.0, 0.001, 20, "what a target of 1.0 means, times equity", at.MAX_EXPOSURE)
    deadband: float = setting(0.1, 0, 1, "smallest change of exposure worth an order", at.DEADBAND)
    max_change: float = setting(2.0, 0.001, 2, "largest change of exposure in one bar", at.MAX_CHANGE)
    max_day_loss: float = setting(0.02, 0, 1, "loss since 00:00 UTC that ends entries", at.DAY_LOSS_MAX)
    max_week_loss: float = setting(0.05, 0, 1, "loss since Monday 00:00 UTC that ends entries", at.WEEK_LOSS_MAX)
    reduce_drawdown: float = setting(0.04, 0, 1, "fall from the peak: only smaller positions", at.DRAWDOWN_MAX)
    max_drawdown: float = setting(0.05, 0, 1, "fall from the peak: flatten and halt", at.DRAWDOWN_HALT_MAX)
    max_losses: int = setting(5, 1, 1_000, "losing round trips in a row before a cool-down", at.LOSSES_MAX)
    cooldown_minutes: float = setting(60.0, 0, 100_000, "length of that cool-down", at.COOLDOWN_MS, MINUTE_MS)
    max_trades_hour: int = setting(6, 1, 10_000, "orders executed in one UTC hour", at.TRADES_HOUR_MAX)
    max_trades_day: int = setting(60, 1, 100_000, "orders executed in one UTC day", at.TRADES_DAY_MAX)
    max_turnover_day: float = setting(20.0, 0, 10_000, "notional of a day, times its first equity", at.TURNOVER_DAY_MAX)
    max_fees_day: float = setting(0.01, 0, 1, "fees of a day, fraction of its first equity", at.FEES_DAY_MAX)
    max_leverage: float = setting(3.0, 0.01, 125, "notional over equity", at.LEVERAGE_MAX)
    max_gross: float = setting(1.5, 0.001, 125, "sum of |exposure| over all symbols", at.GROSS_MAX)
    max_net: float = setting(1.5, 0.001, 125, "|sum of exposures|", at.NET_MAX)
    max_symbol: float = setting(1.0, 0.001, 125, "|exposure| of one symbol", at.SYMBOL_MAX)
    max_cluster: float = setting(1.5, 0.001, 125, "sum of |exposure| over what moves together", at.CLUSTER_MAX)
    cluster_correlation: float = setting(0.7, 0, 1, "correlation from which symbols move together", at.CLUSTER_RHO)
    min_liquidation_atr: float = setting(3.0, 0, 1_000, "ATRs to the liquidation price", at.LIQUIDATION_ATR_MIN)
    min_liquidation_distance: float = setting(
        0.05, 0, 1, "fraction of price to the liquidation price", at.LIQUIDATION_FRACTION_MIN
    )
    max_order_notional: float = setting(1e6, 1, 1e12, "largest order, quote", at.NOTIONAL_ORDER_MAX)
    max_volume_fraction: float = setting(0.1, 0, 1, "largest order, share of the last bar", at.VOLUME_FRACTION_MAX)
    collar_sigma: float = setting(8.0, 1, 1_000, "no entry after a move of so many sigma", at.COLLAR_SIGMA)
    max_spread: float = setting(0.002, 0, 1, "bid-ask spread over price, where known", at.SPREAD_MAX)
    max_depth_fraction: float = setting(0.2, 0, 1, "largest order, share of 10 bp depth", at.DEPTH_FRACTION_MAX)
    max_bar_age_s: float = setting(5.0, 0.01, 86_400, "older bars are not traded on", at.BAR_AGE_MAX_MS, SECOND_MS)
    max_clock_skew_ms: int = setting(1_000, 1, 60_000, "clock against the venue's", at.CLOCK_SKEW_MAX_MS)
    warmup_bars: int = setting(300, 0, 100_000, "bars seen before the first order", at.WARMUP_BARS)
    max_ood: float = setting(1.0, 0, 1e6, "how far an observation may lie outside training", at.OOD_MAX)
    funding_guard_s: float = setting(60.0, 0, 28_800, "no entry so close to funding", at.FUNDING_GUARD_MS, SECOND_MS)
    max_funding_rate: float = setting(0.0005, 0, 1, "... when we pay more than this", at.FUNDING_RATE_MAX)
    max_orders_minute: int = setting(30, 1, 1_200, "orders sent in a minute", at.ORDERS_MINUTE_MAX)
    rebalance_minutes: float = setting(0.0, 0, 100_000, "time between corrections of drift", at.REBALANCE_MS, MINUTE_MS)
    rebalance_band: float = setting(0.0, 0, 20, "drift corrected at once; 0: none is", at.REBALANCE_BAND)
    long_only: bool = setting(default=False, least=0, most=1, says="read shorts as flat", slot=at.LONG_ONLY)
    stop_fixed: float = setting(0.0, 0, 0.9, "exit this fraction from the entry price", at.STOP_FIXED)
    stop_trail_atr: float = setting(0.0, 0, 1_000, "exit so many ATR from the best price", at.STOP_TRAIL_ATR)
    stop_break_even_atr: float = setting(0.0, 0, 1_000, "gain in ATR that arms break-even", at.STOP_BREAK_EVEN_ATR)
    stop_sigma: float = setting(0.0, 0, 1_000, "exit so many sigma from the entry price", at.STOP_SIGMA)
    stop_minutes: float = setting(0.0, 0, 10_000_000, "exit after so long", at.STOP_TIME_MS, MINUTE_MS)
    stop_cooldown_minutes: float = setting(
        15.0, 0, 100_000, "no entry for so long after an exit", at.STOP_COOLDOWN_MS, MINUTE_MS
    )

    def __post_init__(self) -> None:
        faults = [
            f"{f.name} = {getattr(self, f.name)!r}: must be from {f.metadata['least']:g} to {f.metadata['most']:g}"
            f" ({f.metadata['says']})"
            for f in fields(self)
            if not f.metadata["least"] <= getattr(self, f.name) <= f.metadata["most"]
        ]
        if self.reduce_drawdown > self.max_drawdown:
            faults.append(
                f"reduce_drawdown = {self.reduce_drawdown!r}: must not exceed max_drawdown = {self.max_drawdown!r}"
            )
        if faults:
            raise ConfigError("\n".join(faults))

    def write(self, row: Row) -> None:
        """Fill a P row, but for MODEL_OK, which whoever verified the policy sets."""
        for f in fields(self):
            row[f.metadata["slot"]] = float(getattr(self, f.name)) * f.metadata["scale"]
