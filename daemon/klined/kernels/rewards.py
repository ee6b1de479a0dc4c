"""What one step was worth: named terms, each from the account alone, added up by weights.

    equity, peak, hold, turnover ─▶ rate_step ─▶ terms in U[TERM0 + k] ─▶ sum of Z[WEIGHT0 + k] x term

A term whose weight is zero is neither computed nor remembered. All are signed so that more is better: penalties are
negative. U is a lane's reward memory; its first NU_MEMORY values begin anew with each episode. RING, as long as
`ring_size` says, holds what cannot be remembered in a few numbers.

Differential ratios: Moody and Saffell, "Learning to trade via direct reinforcement" (2001), equations 11 to 14.
"""

import math

from klined.kernels.rows import Row

LOG_RETURN = 0  # ln(E1 / E0)
PROFIT = 1  # (E1 - E0) / balance at the start
RISK_ADJUSTED = 2  # return over the standard deviation of those before
SHARPE = 3  # differential Sharpe ratio
SORTINO = 4  # differential downside deviation ratio
EXCESS = 5  # log return beyond that of equal parts bought at the start and held
DRAWDOWN = 6  # - growth of the fall from the peak, fractions
TURNOVER = 7  # - traded notional over equity before
CVAR = 8  # mean of the worst of the last returns, 0 when it is a gain
ORIGINAL = 9  # the reward of the original system, flaws included
NTERMS = 10

# Parameters in Z, after the weights.
WEIGHT0 = 0
ETA = 10  # of both differential ratios, in (0, 1)
SPAN = 11  # of the EWMA under RISK_ADJUSTED, bars
CVAR_BARS = 12
CVAR_WORST = 13  # how many of them make the mean
SIMPLE = 14  # 1: no term but LOG_RETURN and PROFIT has a weight, the others need not be asked for
NZ_REWARDS = 15

# U: memory of one lane. What every step writes lies together: in two lines of the CPU's cache, not in three.
MEAN = 0  # A of the differential ratios
SQUARE = 1  # B
DOWN = 2  # mean square of losses
VARIANCE = 3  # EWMA of squared returns
FALL = 4  # from the peak, at the last close
IDLE = 5  # steps since a trade, ORIGINAL
HELD = 6  # steps in a position, ORIGINAL
EXPOSED = 7  # position at the last close, ORIGINAL
RING_SUM = 8
RING_SQUARES = 9
HOLD = 10  # value of equal parts bought at the start, 1 then
COUNT = 11  # returns seen
NU_MEMORY = 12
EQUITY0 = 12  # the step: equity before and after,
EQUITY1 = 13
TRADED = 14  # notional, quote
PEAK1 = 15
TERM0 = 16
HOLD0 = TERM0 + NTERMS  # what was bought at the start and held, before and after
HOLD1 = HOLD0 + 1
POSITION1 = HOLD0 + 2  # net notional over equity at the close
NU = 32

RATIO_MIN = 1e-6  # equity at or under nothing counts as this part of the balance
VARIANCE_MIN = 1e-18
RISK_MAX = 10.0  # RISK_ADJUSTED lies within +-
ORIGINAL_BARS = 1440


def ring_size(Z: Row) -> int:
    """How many numbers RING needs under the weights and parameters of Z."""
    size = 0
    if Z[WEIGHT0 + CVAR] != 0.0:
        size += int(Z[CVAR_BARS]) + int(Z[CVAR_WORST])
    if Z[WEIGHT0 + ORIGINAL] != 0.0:
        size += ORIGINAL_BARS
    return size


def rate_step(Z: Row, U: Row, ring: Row, balance: float) -> float:
    """The reward of the step that stands in U from EQUITY0 on; `balance` is the account's at its start, quote."""
    least = RATIO_MIN * balance
    before = U[EQUITY0] if U[EQUITY0] > least else least
    after = U[EQUITY1] if U[EQUITY1] > least else least
    gain = 0.0
    move = 0.0
    if after != before:  # most steps of most lanes are spent flat
        growth = after / before
        gain = growth - 1.0
        move = math.log(growth)
    total = 0.0
    if Z[LOG_RETURN] != 0.0:
        U[TERM0 + LOG_RETURN] = move
        total += Z[LOG_RETURN] * U[TERM0 + LOG_RETURN]
    if Z[PROFIT] != 0.0:
        U[TERM0 + PROFIT] = (U[EQUITY1] - U[EQUITY0]) / balance
        total += Z[PROFIT] * U[TERM0 + PROFIT]
    if Z[SIMPLE] == 0.0:
        total = rate_more(Z, U, ring, balance, before, after, gain, move, total)
    U[COUNT] += 1.0
    return total


def rate_more(
    Z: Row, U: Row, ring: Row, balance: float, before: float, after: float, gain: float, move: float, total: float
) -> float:
    """Add the terms that seldom have a weight to `total`: asking for each of them takes longer than LOG_RETURN."""
    if Z[RISK_ADJUSTED] != 0.0:
        U[TERM0 + RISK_ADJUSTED] = risk_adjusted(U, gain, 2.0 / (Z[SPAN] + 1.0))
        total += Z[RISK_ADJUSTED] * U[TERM0 + RISK_ADJUSTED]
    if Z[SHARPE] != 0.0 or Z[SORTINO] != 0.0:
        differentials(U, gain, Z[ETA])
        total += Z[SHARPE] * U[TERM0 + SHARPE] + Z[SORTINO] * U[TERM0 + SORTINO]
    if Z[EXCESS] != 0.0:
        U[TERM0 + EXCESS] = move - math.log(U[HOLD1] / U[HOLD0])
        total += Z[EXCESS] * U[TERM0 + EXCESS]
    if Z[DRAWDOWN] != 0.0:
        fall = 1.0 - after / U[PEAK1] if after < U[PEAK1] else 0.0
        U[TERM0 + DRAWDOWN] = U[FALL] - fall if fall > U[FALL] else 0.0
        total += Z[DRAWDOWN] * U[TERM0 + DRAWDOWN]
        U[FALL] = fall
    if Z[TURNOVER] != 0.0:
        U[TERM0 + TURNOVER] = -U[TRADED] / before
        total += Z[TURNOVER] * U[TERM0 + TURNOVER]
    if Z[CVAR] != 0.0:
        U[TERM0 + CVAR] = worst_mean(U, ring, gain, int(Z[CVAR_BARS]), int(Z[CVAR_WORST]))
        total += Z[CVAR] * U[TERM0 + CVAR]
    if Z[ORIGINAL] != 0.0:
        at = int(Z[CVAR_BARS]) + int(Z[CVAR_WORST]) if Z[CVAR] != 0.0 else 0
        U[TERM0 + ORIGINAL] = original(U, ring, at, balance)
        total += Z[ORIGINAL] * U[TERM0 + ORIGINAL]
    return total


def risk_adjusted(U: Row, gain: float, weight: float) -> float:
    """`gain` in standard deviations of the returns before it, within +-RISK_MAX; 0 while there are none."""
    variance = U[VARIANCE]
    value = 0.0
    if variance > VARIANCE_MIN:
        value = gain / math.sqrt(variance)
        if value > RISK_MAX:
            value = RISK_MAX
        elif value < -RISK_MAX:
            value = -RISK_MAX
    U[VARIANCE] = variance + weight * (gain * gain - variance)
    return value


def differentials(U: Row, gain: float, eta: float) -> None:
    """Both differential ratios of `gain`, and the moments after it. 0 where a ratio has no denominator yet."""
    mean = U[MEAN]
    square = U[SQUARE]
    down = U[DOWN]
    variance = square - mean * mean
    sharpe = 0.0
    if variance > VARIANCE_MIN:
        sharpe = (square * (gain - mean) - 0.5 * mean * (gain * gain - square)) / (variance * math.sqrt(variance))
    sortino = 0.0
    if down > VARIANCE_MIN:
        deviation = math.sqrt(down)
        if gain > 0.0:
            sortino = (gain - 0.5 * mean) / deviation
        else:
            sortino = (down * (gain - 0.5 * mean) - 0.5 * mean * gain * gain) / (down * deviation)
    U[TERM0 + SHARPE] = sharpe
    U[TERM0 + SORTINO] = sortino
    loss = gain if gain < 0.0 else 0.0
    U[MEAN] = mean + eta * (gain - mean)
    U[SQUARE] = square + eta * (gain * gain - square)
    U[DOWN] = down + eta * (loss * loss - down)


def worst_mean(U: Row, ring: Row, gain: float, bars: int, worst: int) -> float:
    """Mean of the `worst` smallest of the last `bars` returns, `gain` included: minus CVaR, or 0. O(bars worst)."""
    count = int(U[COUNT])
    ring[count - int(count / bars) * bars] = gain
    seen = count + 1 if count + 1 < bars else bars
    kept = 0
    for k in range(seen):
        value = ring[k]
        j = kept if kept < worst else worst - 1
        if kept < worst or value < ring[bars + worst - 1]:
            while j > 0 and ring[bars + j - 1] > value:
                ring[bars + j] = ring[bars + j - 1]
                j -= 1
            ring[bars + j] = value
            if kept < worst:
                kept += 1
    total = 0.0
    for j in range(kept):
        total += ring[bars + j]
    total = total / float(kept)
    return total if total < 0.0 else 0.0


def original(U: Row, ring: Row, at: int, balance: float) -> float:
    """The reward of the system that klined replaces, kept to be compared with, not to be trained on.

    Its flaws: costs are in dollars against a profit in percent, so they weigh a hundredfold; trading at all is paid
    for (activity +0.1); a fixed -50 under 90 % of the peak drowns every other term from there on.
    """
    position = U[EXPOSED]
    change = abs(U[POSITION1] - position)
    equity = U[EQUITY1]
    moved = U[HOLD1] / U[HOLD0] - 1.0
    earned = position * moved
    total = earned * equity / balance * 100.0
    count = int(U[COUNT])
    place = at + count - int(count / ORIGINAL_BARS) * ORIGINAL_BARS
    if count >= ORIGINAL_BARS:
        U[RING_SUM] -= ring[place]
        U[RING_SQUARES] -= ring[place] * ring[place]
    ring[place] = earned
    U[RING_SUM] += earned
    U[RING_SQUARES] += earned * earned
    seen = float(count + 1 if count + 1 < ORIGINAL_BARS else ORIGINAL_BARS)
    mean = U[RING_SUM] / seen
    variance = U[RING_SQUARES] / seen - mean * mean
    if seen > 1.0 and variance > VARIANCE_MIN:
        total += 0.2 * mean / math.sqrt(variance)
    total -= change * 0.0015 * equity
    if equity < 0.9 * U[PEAK1]:
        total -= 50.0
    if abs(U[POSITION1]) > 0.1:
        U[HELD] += 1.0
        total += 0.0005 if earned > 0.0 else -0.001
        if U[HELD] > float(ORIGINAL_BARS):
            total -= 0.002
    else:
        U[HELD] = 0.0
    if change > 0.01:
        U[IDLE] = 0.0
        total += 0.1
    else:
        U[IDLE] += 1.0
        total -= 0.005 * (1.0 + 0.1 * U[IDLE])
    U[EXPOSED] = U[POSITION1]
    return total
