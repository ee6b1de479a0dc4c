"""What swings in a fixed range: Wilder's RSI, true range, and the bounded forms that features take.

`at` is where a kernel's state begins in the S row; a state of zeros is a fresh start.
"""

from klined.kernels.rows import Row

NAN = float("nan")
RSI_SIZE = 3


def rsi_step(S: Row, at: int, n: int, flat: float, change: float) -> float:
    """Wilder's RSI (1978) in [0, 100] from the change of the close; first value with the n-th change. O(1).

    `flat` is the answer when nothing moved in all memory: 50 says neither; TA-Lib says 0, its most oversold.
    State: count, average gain, average loss.
    """
    gain = change if change > 0.0 else 0.0
    loss = gain - change
    count = S[at]
    if count >= n:
        up = S[at + 1]
        down = S[at + 2]
        weight = 1.0 / n
        up += (gain - up) * weight
        down += (loss - down) * weight
    else:
        up = S[at + 1] + gain
        down = S[at + 2] + loss
        S[at] = count + 1.0
        if count + 1.0 == n:
            up /= n
            down /= n
    S[at + 1] = up
    S[at + 2] = down
    if count + 1.0 < n:
        return NAN
    span = up + down
    return 100.0 * (up / span) if span > 0.0 else flat


def true_range(high: float, low: float, previous: float) -> float:
    """Wilder's true range: the bar's span, stretched to the previous close."""
    top = high if high > previous else previous
    bottom = low if low < previous else previous
    return top - bottom


def clip(x: float, bound: float) -> float:
    """`x` kept within [-bound, bound]."""
    if x > bound:
        return bound
    if x < -bound:
        return -bound
    return x


def squash(x: float) -> float:
    """Softsign x / (1 + |x|) in (-1, 1): odd, slope 1 at 0, finite for every finite `x`, and never quite flat.

    It stands where tanh would, because it is exact in IEEE arithmetic: its bytes do not depend on the C library or the
    CPU. It also keeps far values apart and costs a fraction of the time.
    """
    return x / (1.0 + abs(x))


def zone(z: float, outer: float, inner: float) -> float:
    """Five-level zone of a z-score: -1, -0.5, 0, 0.5, 1; counted without branches, which a CPU could not foresee."""
    return 0.5 * ((z > outer) + (z > inner) - (z < -inner) - (z < -outer))
