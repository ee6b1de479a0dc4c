"""The limits of the gate and the protective exits, as a person sets them."""

from pydantic import model_validator

from klined.config.fields import OptionalPath, Section, count, fraction, number, said


class Risk(Section):
    """Limits that no policy passes. They are durable: a restart widens none. SIGHUP rereads them."""

    max_exposure: float = number(
        1.0, "what a target of 1.0 means, as a multiple of equity", least=0.001, most=20, like="1.0", reload=True
    )
    deadband: float = fraction(0.1, "smallest change of exposure worth an order", like="0.1", reload=True)
    max_change: float = number(
        2.0, "largest change of exposure in one bar", least=0.001, most=2, like="0.5", reload=True
    )
    max_day_loss: float = fraction(
        0.02, "loss since 00:00 UTC, open positions included, that ends entries", reload=True
    )
    max_week_loss: float = fraction(0.05, "the same since Monday 00:00 UTC", like="0.05", reload=True)
    reduce_drawdown: float = fraction(
        0.04,
        "loss from the peak beyond which positions may only shrink; at most 0.8 of max_drawdown when not given",
        like="0.04",
        reload=True,
    )
    max_drawdown: float = fraction(
        0.05, "loss from the peak that flattens and halts until a person resumes", like="0.05", reload=True
    )
    max_losses: int = count(
        5, "losing trades in a row before a pause of cooldown_minutes", least=1, most=1_000, reload=True
    )
    cooldown_minutes: float = number(60.0, "length of that pause", most=100_000, like="60", reload=True)
    max_trades_hour: int = count(6, "orders in one UTC hour", least=1, most=10_000, reload=True)
    max_trades_day: int = count(60, "orders in one UTC day", least=1, most=100_000, reload=True)
    max_turnover_day: float = number(
        20.0, "traded notional of a UTC day, as a multiple of its first equity", most=10_000, like="20", reload=True
    )
    max_fees_day: float = fraction(
        0.01, "fees of a UTC day, as a fraction of its first equity", like="0.01", reload=True
    )
    max_leverage: float = number(
        3.0, "notional over equity after the order", least=0.01, most=125, like="3", reload=True
    )
    max_gross: float = number(1.5, "sum of |exposure| over all symbols", least=0.001, most=125, like="1.5", reload=True)
    max_net: float = number(1.5, "|sum of exposures|", least=0.001, most=125, like="1.0", reload=True)
    max_symbol: float = number(1.0, "|exposure| of one symbol", least=0.001, most=125, like="0.5", reload=True)
    max_cluster: float = number(
        1.5, "sum of |exposure| over symbols that move together", least=0.001, most=125, like="1.0", reload=True
    )
    cluster_correlation: float = fraction(
        0.7, "correlation of returns from which symbols move together", like="0.7", reload=True
    )
    min_liquidation_atr: float = number(
        3.0, "distance to liquidation, in average true ranges", most=1_000, like="3", reload=True
    )
    min_liquidation_distance: float = fraction(
        0.05, "distance to liquidation, as a fraction of price", like="0.05", reload=True
    )
    max_order_notional: float = number(
        1_000_000.0, "largest order, in the quote currency", least=1, most=1e12, like="1000", reload=True
    )
    max_volume_fraction: float = fraction(
        0.1, "largest order, as a share of the last bar's volume", like="0.1", reload=True
    )
    collar_sigma: float = number(
        8.0,
        "no entries after a bar that moved this many standard deviations",
        least=1,
        most=1_000,
        like="8",
        reload=True,
    )
    max_spread: float = fraction(0.002, "bid-ask spread over price, where a source is known", like="0.002", reload=True)
    max_depth_fraction: float = fraction(
        0.2, "largest order, as a share of the book within 10 bp, where known", like="0.2", reload=True
    )
    max_bar_age_s: float = number(5.0, "older bars are not traded on", least=0.01, most=86_400, like="5", reload=True)
    max_clock_skew_ms: int = count(1_000, "clock against the exchange", least=1, most=60_000, reload=True)
    max_ood: float = number(
        1.0, "how far an observation may lie outside what the policy was trained on", most=1e6, like="1.0", reload=True
    )
    funding_guard_s: float = number(
        60.0, "no entry this close before a funding that we would pay", most=28_800, like="60", reload=True
    )
    max_funding_rate: float = fraction(0.0005, "... when it is dearer than this", like="0.0005", reload=True)
    max_orders_minute: int = count(30, "orders sent in a minute", least=1, most=1_200, reload=True)
    rebalance_minutes: float = number(
        0.0, "time between changes of the target; 0: every bar", most=100_000, like="60", reload=True
    )
    rebalance_band: float = number(
        0.0, "drift of exposure that rebalances at once; 0: off", most=20, like="0.25", reload=True
    )
    kill_file: OptionalPath = said(
        None, "while this file exists nothing is ordered but a flatten; empty: KILL in the state directory", "a file"
    )

    @model_validator(mode="before")
    @classmethod
    def _reduce_before_halting(cls, given: object) -> object:
        """Who sets only max_drawdown means reduce_drawdown to come first."""
        halt = given.get("max_drawdown") if isinstance(given, dict) and "reduce_drawdown" not in given else None
        try:
            limit = float(halt) if halt is not None else 1.0
        except (TypeError, ValueError):
            return given  # it has a fault of its own
        return {**given, "reduce_drawdown": 0.8 * limit} if isinstance(given, dict) and 0.0 <= limit < 0.05 else given


class Exits(Section):
    """Protective exits; 0 is off."""

    fixed: float = number(0.0, "loss from the entry price, as a fraction of it", most=0.9, like="0.03", reload=True)
    trail_atr: float = number(0.0, "distance from the best price, in ATR", most=1_000, like="3", reload=True)
    break_even_atr: float = number(
        0.0, "gain, in ATR, after which the entry price is the stop", most=1_000, like="2", reload=True
    )
    sigma: float = number(0.0, "loss from the entry price, in standard deviations", most=1_000, like="6", reload=True)
    time_minutes: float = number(0.0, "longest holding time", most=10_000_000, like="1440", reload=True)
    resting: float = number(
        0.0,
        "distance from the entry, as a fraction, of a stop that rests at the exchange (perpetuals); 0: none",
        most=0.5,
        like="0.05",
    )
    cooldown_minutes: float = number(
        15.0, "no entry for so long after an exit by one of these", most=100_000, like="15", reload=True
    )
