"""What volume says: money flow, accumulation, force, relative volume; and three sums that never forget.

    windowed    MFI, CMF, relative volume: the last n bars        fading    ADOSC, force: averages
    cumulative  OBV, AD, VWAP since the first bar: their level depends on where they began, for ever

The cumulative ones carry the rounding error of each addition along (Neumaier 1974) and exist for comparison: a policy
is better shown a windowed form. `at` is where the kernel's state begins; a state of zeros is a fresh start.
"""

from klined.kernels.averages import EMA_SIZE, ema_step
from klined.kernels.rows import Row
from klined.kernels.windows import NAN, flow_step, mean_step, pair_size, pair_step, sum_size

TOTAL_SIZE = 2
OBV_SIZE = TOTAL_SIZE + 1
VWAP_SIZE = 2 * TOTAL_SIZE
ADOSC_SIZE = 3
EFI_SIZE = EMA_SIZE
TIE = 1e-15  # of the price: a smaller change of the typical price is rounding of its own formula


def total_step(S: Row, at: int, x: float) -> float:
    """Sum since the start, rounding errors carried along. State: sum, what rounding took from it."""
    total = S[at]
    larger = total + x
    if abs(total) >= abs(x):
        S[at + 1] += (total - larger) + x
    else:
        S[at + 1] += (x - larger) + total
    S[at] = larger
    return larger + S[at + 1]


def obv_step(S: Row, at: int, change: float, volume: float) -> float:
    """On-balance volume (Granville 1963) from the first bar on, whose volume it begins with."""
    if S[at + 2] == 0.0:
        S[at + 2] = 1.0
        return total_step(S, at, volume)
    signed = 0.0
    if change > 0.0:
        signed = volume
    elif change < 0.0:
        signed = -volume
    return total_step(S, at, signed)


def accumulation(high: float, low: float, close: float, volume: float) -> float:
    """Volume times where the close lies in its bar: from -1 at the low to 1 at the high (Chaikin)."""
    span = high - low
    return ((close - low) - (high - close)) / span * volume if span > 0.0 else 0.0


def ad_step(S: Row, at: int, high: float, low: float, close: float, volume: float) -> float:
    """Accumulation/distribution line from the first bar on."""
    return total_step(S, at, accumulation(high, low, close, volume))


def vwap_step(S: Row, at: int, typical: float, volume: float) -> float:
    """Volume-weighted typical price since the first bar; the typical price while nothing was traded."""
    money = total_step(S, at, typical * volume)
    total = total_step(S, at + 2, volume)
    return money / total if total > 0.0 else typical


def adosc_step(S: Row, at: int, fast: int, slow: int, high: float, low: float, close: float, volume: float) -> float:
    """Chaikin's oscillator: fast less slow EMA of the accumulation line, from the `slow`-th bar on.

    The line's level cancels, so only the distance of each EMA from it is kept: (1 - a) (d - flow). State: bars, both
    distances.
    """
    flow = accumulation(high, low, close, volume)
    bars = S[at]
    if bars > 0.0:
        S[at + 1] = (1.0 - 2.0 / (fast + 1.0)) * (S[at + 1] - flow)
        S[at + 2] = (1.0 - 2.0 / (slow + 1.0)) * (S[at + 2] - flow)
    if bars < slow:
        S[at] = bars + 1.0
        if bars + 1.0 < slow:
            return NAN
    return S[at + 1] - S[at + 2]


def cmf_size(n: int) -> int:
    return pair_size(n)


def cmf_step(S: Row, at: int, n: int, high: float, low: float, close: float, volume: float) -> float:
    """Chaikin's money flow in [-1, 1]: accumulation over volume of n bars, 0 without volume."""
    flow, total = pair_step(S, at, n, accumulation(high, low, close, volume), volume)
    if S[at] < n:
        return NAN
    return max(-1.0, min(1.0, flow / total)) if total > 0.0 else 0.0


def mfi_step(S: Row, at: int, n: int, flat: float, typical: float, before: float, volume: float) -> float:
    """Money flow index in [0, 100] (Quong, Soudack 1989); first value with the n-th move of the typical price.

    Money counts up or down with the typical price; a change within TIE counts as none, or one formula's rounding would
    take sides. `flat` where no money moved. State of `flow_step`, for gross counts moved money only.
    """
    change = typical - before
    money = typical * volume
    if abs(change) <= TIE * typical:
        change = 0.0
        money = 0.0
    net, gross = flow_step(S, at, n, change, money)
    if S[at] < n:
        return NAN
    return max(0.0, min(100.0, 50.0 * (1.0 + net / gross))) if gross > 0.0 else flat


def efi_step(S: Row, at: int, n: int, change: float, volume: float) -> float:
    """Elder's force index (1993): EMA of change times volume; first value with the n-th change."""
    return ema_step(S, at, n, change * volume)


def rvol_size(n: int) -> int:
    return sum_size(n)


def rvol_step(S: Row, at: int, n: int, volume: float) -> float:
    """Volume over the mean volume of the n bars before it, 0 when those traded nothing; from the (n + 1)-th bar on."""
    full = S[at] >= n
    before = S[at + 1] / n
    mean_step(S, at, n, volume)
    if not full:
        return NAN
    return volume / before if before > 0.0 else 0.0
