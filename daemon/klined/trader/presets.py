"""Plans that ship as declarations: nothing in them is a statistic of any data set.

Distances are in units of ATR, so that they mean the same in every market and year; everything lies in [-1, 1].
"""

_AVERAGES = (
    "sma(20)",
    "ema(50)",
    "wma(20)",
    "dema(20)",
    "tema(20)",
    "trima(20)",
    "rma(20)",
    "vwma(20)",
    "kama(30)",
    "t3(5)",
)

ACCOUNT = ("position", "position_change", "open_profit", "held", "retreat", "last_target")
REGIME = (
    "volatility_rank = rank(sigma(30), 120) * 2 - 1",
    "activity_turn = squash(2 * log(ema(volume, 10) / ema(volume, 40)))",
    "volatility_turn = squash(2 * log(sigma(10) / sigma(30)))",
    "trend = er(60).signed",
)
CALENDAR = ("day_sin", "day_cos", "week_sin", "week_cos", "funding = until(8) * 2 - 1")
FRAMES = ("5m", "15m", "1h")
LONGER = tuple(
    f"{name}_{frame} = {formula}@{frame}"
    for frame in FRAMES
    for name, formula in (
        ("trend", "(er(12).signed)"),
        ("far", "(clip(zscore(close - sma(12), 24), 3) / 3)"),
        ("move", "(squash(per(mom(12), sma(trange, 12)) / 4))"),
        ("place", "(willr(14, flat=-50) / 50 + 1)"),
        ("activity", "(squash(rvol(12) - 1))"),
        ("obv", "(clip(flow(12).net / flow(12).gross, 1))"),
    )
)
"""The same market in longer bars, of which only closed ones show; all of it forgets within 37 of them."""

INDICATORS = (
    *(f"{one.partition('(')[0]} = squash(per(close - {one}, atr(14)))" for one in _AVERAGES),
    "macd = squash(per(macd(12, 26, 9).macd, atr(14)))",
    "macd_signal = squash(per(macd(12, 26, 9).signal, atr(14)))",
    "macd_hist = squash(3 * per(macd(12, 26, 9).hist, atr(14)))",
    "bbands = clip(bbands(20, 2).inside - 0.5, 1)",
    "bandwidth = squash(per(bbands(20, 2).upper - bbands(20, 2).lower, atr(14)) / 4)",
    "keltner = clip((close - keltner(20, 10, 2).middle) / (keltner(20, 10, 2).upper - keltner(20, 10, 2).lower), 1)",
    "donchian = clip((close - donchian(20).middle) / (donchian(20).upper - donchian(20).lower) * 2, 1)",
    "linearreg = squash(per(close - linearreg(14), atr(14)))",
    "slope = squash(5 * per(linearreg(14).slope, atr(14)))",
    "rsi = rsi(14, flat=50) / 50 - 1",
    "cmo = cmo(9) / 100",
    "ppo = squash(5 * ppo(12, 26))",
    "mom = squash(per(mom(10), atr(14)))",
    "bop",
    "trix = squash(20 * trix(15))",
    "tsi = tsi(25, 13) / 100",
    "cci = squash(cci(20) / 100)",
    "efi = squash(5 * per(efi(13) / sma(volume, 20), atr(14)))",
    "ao = squash(per(ao(5, 34), atr(14)))",
    "apo = squash(per(apo(12, 26), atr(14)))",
    "willr = willr(14, flat=-50) / 50 + 1",
    "pvo = squash(pvo(12, 26) / 50)",
    "stoch = stochf(5, 3, flat=50).d / 50 - 1",
    "dx = dx(14) / 50 - 1",
    "adx = adx(14) / 50 - 1",
    "dmi = (plus_di(14) - minus_di(14)) / 100",
    "adosc = squash(adosc(3, 10) / sma(volume, 20))",
    "sar = squash(per(close - sar, atr(14)))",
    "supertrend = supertrend(10, 3).way",
    "natr = squash(10 * natr(14)) * 2 - 1",
    "mfi = mfi(14, flat=50) / 50 - 1",
    "cmf = cmf(20)",
    "rvol = squash(rvol(20) - 1)",
    "flow = clip(flow(20).net / flow(20).gross, 1)",
)
BESIDE = (*ACCOUNT, *REGIME, *CALENDAR, "sentiment_score")

ETH44 = (*INDICATORS, *BESIDE)
"""44 indicators, the account, the regime, the time of the day and week; the sentiment last."""

ETH44_MTF = (*INDICATORS, *LONGER, *BESIDE)
"""The same with bars of 5 minutes, 15 minutes and an hour, made of those of a minute."""
