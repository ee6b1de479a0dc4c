"""What a perpetual account owes and is owed: maintenance brackets, initial margin, funding.

leverage tiers (ccxt format) ─ tiers_from_brackets ─▶ Instrument.tiers ─▶ kernels (maintenance, liquidation)
funding history (time, rate) ─ FundingTable ────────▶ rate of a funding time
"""

from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import Any

from klined.domain import Instrument, Tier

HOUR_MS = 3_600_000


def tiers_from_brackets(brackets: Mapping[str, Iterable[Mapping[str, Any]]]) -> dict[str, tuple[Tier, ...]]:
    """Maintenance brackets by unified symbol, ascending, from ccxt's `fetch_leverage_tiers` format.

    `cum` is computed where the exchange does not tell it: it keeps the margin continuous from bracket to bracket.
    """
    return {symbol: _ascending(rows) for symbol, rows in brackets.items()}


def _ascending(rows: Iterable[Mapping[str, Any]]) -> tuple[Tier, ...]:
    tiers: list[Tier] = []
    for row in sorted(rows, key=lambda row: float(row["minNotional"])):
        floor, mmr = float(row["minNotional"]), float(row["maintenanceMarginRate"])
        told = row.get("info", {}).get("cum")
        continuous = tiers[-1].cum + floor * (mmr - tiers[-1].mmr) if tiers else 0.0
        cum = continuous if told is None else float(told)
        tiers.append(Tier(floor, mmr, cum, float(row["maxLeverage"])))
    return tuple(tiers)


def initial_margin(instrument: Instrument, notional: Decimal, leverage: Decimal) -> Decimal:
    """Quote that opening a position of |notional| takes; large positions are allowed less leverage."""
    allowed = leverage
    for tier in instrument.tiers:
        if notional >= Decimal(tier.notional_min):
            allowed = min(leverage, Decimal(tier.leverage_max))
    return notional / allowed


def funding_times(interval_ms: int, after_ms: int, until_ms: int) -> range:
    """Funding times F with after_ms <= F < until_ms: the whole multiples of the interval, in UTC."""
    return range(-(-after_ms // interval_ms) * interval_ms, until_ms, interval_ms)


class FundingTable:
    """Past funding rates, callable as `table(symbol, time_ms)`.

    Exchanges stamp fundings a few milliseconds late, so a time finds the entry of its hour.
    """

    def __init__(self, rows: Iterable[tuple[str, int, float]]) -> None:
        """`rows` are (symbol, funding time in ms, rate); symbols as the caller will ask for them."""
        self._rates = {(symbol, _hour(time_ms)): rate for symbol, time_ms, rate in rows}

    def __call__(self, symbol: str, time_ms: int) -> float | None:
        """The rate of the funding at `time_ms`, None when none is known."""
        return self._rates.get((symbol, _hour(time_ms)))

    def __len__(self) -> int:
        return len(self._rates)


def _hour(time_ms: int) -> int:
    return (time_ms + HOUR_MS // 2) // HOUR_MS
