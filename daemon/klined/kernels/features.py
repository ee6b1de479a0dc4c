"""Feature plans as step functions: one closed bar in, one row of market features out, all memory in one S row.

    bar (open_time, open, high, low, close, volume) ─▶ eth15_step(S, bar, out) ─▶ out: 12 market features

`out` holds the market slots of the observation in their order: z_score, zone_norm, price_momentum, z_score_momentum,
macd_norm, macd_signal_norm, macd_diff_norm, rsi_norm, bb_mid_norm, bb_high_norm, bb_low_norm, obv_norm. `observe` puts
account and sentiment around them. Every step is causal and amortised O(1). Prices may lie within 1e-15 .. 1e15.

A state of zeros is a fresh start. S[BARS] and S[CLOSE] mean the same in every plan.
"""

import math
from collections.abc import Sequence

from klined.kernels.averages import MACD_SIZE, VARIANCE_SIZE, WILDER_SIZE, macd_step, variance_step, wilder_step
from klined.kernels.oscillators import RSI_SIZE, clip, rsi_step, squash, true_range, zone
from klined.kernels.rows import Row
from klined.kernels.windows import flow_size, flow_step, moments_size, moments_step

NAN = float("nan")
BARS = 0  # bars seen
CLOSE = 1  # last close
MARKET = 12  # width of `out` in both plans

# --- eth15 ------------------------------------------------------------------------------------------------------
ETH15_FIRST = 80  # bars until a row is complete: 20 for the mean, 60 spreads over it, and one z-score before
RETURNS = 20  # squared returns that seed the variance
WEIGHT = 0.07  # of the newest square: the last 60 bars hold 98.7 %, and 300 bars forget the start to 1e-8
UNIT_MIN = 1e-9  # of the price: yardsticks (ATR, sigma) are no shorter, lest a dead market magnify rounding
SPREAD_MIN = 1e-12  # of the price: a smaller deviation of the spread is rounding
ETH15_Z = 2
ETH15_MEAN = 3
ETH15_SPREAD = ETH15_MEAN + moments_size(20)
ETH15_FLOW = ETH15_SPREAD + moments_size(60)
ETH15_MACD = ETH15_FLOW + flow_size(20)
ETH15_RSI = ETH15_MACD + MACD_SIZE
ETH15_ATR = ETH15_RSI + RSI_SIZE
ETH15_VARIANCE = ETH15_ATR + WILDER_SIZE
ETH15_SIZE = ETH15_VARIANCE + VARIANCE_SIZE

# --- original ---------------------------------------------------------------------------------------------------
ORIGINAL_Z = 2
ORIGINAL_FAST = 3
ORIGINAL_SLOW = 4
ORIGINAL_SIGNAL = 5
ORIGINAL_GAIN = 6
ORIGINAL_LOSS = 7
ORIGINAL_OBV = 8
ORIGINAL_MEAN = 9
ORIGINAL_SPREAD = ORIGINAL_MEAN + moments_size(20)
ORIGINAL_SIZE = ORIGINAL_SPREAD + moments_size(60)


def eth15_step(S: Row, bar: Sequence[float], out: Row) -> float:
    """Market features of `eth15`: stationary, in [-1, 1], without any statistic of a data set; the bar's log return.

    NaN as a whole until ETH15_FIRST bars were seen; finite from then on. The return of the first bar is 0.
    """
    close = bar[4]
    bars = S[BARS] + 1.0
    previous = S[CLOSE]
    S[BARS] = bars
    S[CLOSE] = close
    # The chain from mean to z is the longest; a CPU works on what follows while it waits for root and quotient.
    mean, variance = moments_step(S, ETH15_MEAN, 20, close)
    spread = close - mean
    z = 0.0
    before = S[ETH15_Z]
    if bars >= 20.0:
        centre, scatter = moments_step(S, ETH15_SPREAD, 60, spread)
        z = eth15_z(close, spread, centre, scatter)
        S[ETH15_Z] = z
    macd, signal = macd_step(S, ETH15_MACD, 12, 26, 9, close)
    move = 0.0
    if bars > 1.0:
        change = close - previous
        move = math.log(close / previous)
        atr = wilder_step(S, ETH15_ATR, 14, true_range(bar[2], bar[3], previous))
        rsi = rsi_step(S, ETH15_RSI, 14, 50.0, change)
        net, gross = flow_step(S, ETH15_FLOW, 20, change, bar[5])
        expected = variance_step(S, ETH15_VARIANCE, RETURNS, WEIGHT, move)
        if bars >= 80.0:
            (out[0], out[1], out[2], out[3], out[4], out[5], out[6], out[7], out[8], out[9], out[10], out[11]) = (
                eth15_shape(close, z, before, move, expected, variance, spread, atr, macd, signal, rsi, net, gross)
            )
            return move
    for slot in range(MARKET):
        out[slot] = NAN
    return move


def eth15_z(close: float, spread: float, centre: float, scatter: float) -> float:
    """The spread's distance from its mean in standard deviations; 0 where it does not deviate."""
    deviation = math.sqrt(scatter)
    return (spread - centre) / deviation if deviation > SPREAD_MIN * close else 0.0


def eth15_shape(
    close: float,
    z: float,
    before: float,
    move: float,
    expected: float,
    variance: float,
    spread: float,
    atr: float,
    macd: float,
    signal: float,
    rsi: float,
    net: float,
    gross: float,
) -> tuple[float, float, float, float, float, float, float, float, float, float, float, float]:
    """The market slots, in [-1, 1], from the bar's indicators; `before` is the z of the bar before."""
    sigma = math.sqrt(expected)
    if sigma < UNIT_MIN:
        sigma = UNIT_MIN
    unit = UNIT_MIN * close
    if atr > unit:
        unit = atr
    unit = 1.0 / unit
    band = 2.0 * math.sqrt(variance)
    return (
        clip(z, 5.0) * 0.2,
        zone(z, 1.5, 0.5),
        clip(move / sigma, 5.0) * 0.2,
        clip(z - before, 2.0) * 0.5,
        squash(macd * unit),
        squash(signal * unit),
        squash((macd - signal) * unit * 3.0),
        rsi * 0.02 - 1.0,
        squash(spread * unit),
        squash((band - spread) * unit),
        squash((spread + band) * unit),
        clip(net / gross, 1.0) if gross > 0.0 else 0.0,
    )


def original_step(S: Row, bar: Sequence[float], out: Row) -> None:
    """The 15-value vector of the system that klined replaces, as its *live* engine computed it: raw and skewed.

    Kept so that its policies can be converted and be shown for what they saw. It differs from what they were trained
    on (baseline 60 and window 120 there, everything min-max scaled over the whole data set), it is not bounded (MACD
    and bands in quote, OBV in base from wherever the process began), and the RSI of a market without losses is 0. As
    there, windows and averages answer from the first bar on with what they have.
    """
    close = bar[4]
    bars = S[BARS] + 1.0
    previous = S[CLOSE]
    S[BARS] = bars
    S[CLOSE] = close
    mean, variance = moments_step(S, ORIGINAL_MEAN, 20, close)
    spread = close - mean
    centre, scatter = moments_step(S, ORIGINAL_SPREAD, 60, spread)
    z = (spread - centre) / (math.sqrt(scatter) + 1e-8)
    momentum = 0.0
    swing = 0.0
    rsi = 0.0
    if bars == 1.0:
        fast = close
        slow = close
        signal = 0.0
    else:
        change = close - previous
        momentum = clip(change / previous, 0.1)
        swing = clip(z - S[ORIGINAL_Z], 2.0)
        fast = S[ORIGINAL_FAST] + (close - S[ORIGINAL_FAST]) * (2.0 / 13.0)
        slow = S[ORIGINAL_SLOW] + (close - S[ORIGINAL_SLOW]) * (2.0 / 27.0)
        signal = S[ORIGINAL_SIGNAL] + (fast - slow - S[ORIGINAL_SIGNAL]) * (2.0 / 10.0)
        gain = change if change > 0.0 else 0.0
        loss = gain - change
        if bars > 2.0:
            gain = (S[ORIGINAL_GAIN] * 13.0 + gain) / 14.0
            loss = (S[ORIGINAL_LOSS] * 13.0 + loss) / 14.0
        S[ORIGINAL_GAIN] = gain
        S[ORIGINAL_LOSS] = loss
        if loss > 0.0:
            rsi = gain / (gain + loss)
        if change > 0.0:
            S[ORIGINAL_OBV] += bar[5]
        elif change < 0.0:
            S[ORIGINAL_OBV] -= bar[5]
    S[ORIGINAL_Z] = z
    S[ORIGINAL_FAST] = fast
    S[ORIGINAL_SLOW] = slow
    S[ORIGINAL_SIGNAL] = signal
    band = 2.0 * math.sqrt(variance)
    out[0] = z
    out[1] = zone(z, 1.5, 0.5)
    out[2] = momentum
    out[3] = swing
    out[4] = fast - slow
    out[5] = signal
    out[6] = fast - slow - signal
    out[7] = rsi
    out[8] = mean
    out[9] = mean + band
    out[10] = mean - band
    out[11] = S[ORIGINAL_OBV]


def eth15_history(S: Row, bars: Sequence[Sequence[float]], out: Sequence[Row]) -> None:
    """`eth15_step` over bars of shape (T, 6) into features of shape (T, MARKET), oldest first."""
    for t in range(len(bars)):
        eth15_step(S, bars[t], out[t])


def original_history(S: Row, bars: Sequence[Sequence[float]], out: Sequence[Row]) -> None:
    """`original_step` over bars of shape (T, 6) into features of shape (T, MARKET), oldest first."""
    for t in range(len(bars)):
        original_step(S, bars[t], out[t])
