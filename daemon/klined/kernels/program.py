"""Any feature plan as data: rows of integers that one compiled interpreter executes, nothing generated or recompiled.

    code   (n, COLUMNS) int     what to run, where its state, inputs and output stand in S, its whole parameters
    C      float64              its other parameters, from code[i][CONSTANT] on
    S      float64              all memory: bars of every timeframe, state of every kernel, every intermediate value

A row runs once its timeframe has seen more than code[i][START] bars, from when on its inputs are values: averages are
never fed a NaN, and nothing is asked at run time that the plan knew when it was built. Rows under a FRAME run only when
a bar of that timeframe closed; their outputs stay in S for the rows that follow. `out` is NaN as a whole until every
row that it depends on has run.

The daemon calls the same kernels from a table (`klined.trader.programs`); a test holds both to the same bytes.
"""

from collections.abc import Sequence

from klined.kernels import arithmetic, averages, chains, direction, extremes, micro, momentum, ramps, regimes, turnover
from klined.kernels.frames import bar_step, frame_step
from klined.kernels.oscillators import clip, rsi_step, squash
from klined.kernels.rows import Row
from klined.kernels.windows import flow_step, mean_step

NAN = float("nan")
Code = Sequence[Sequence[int]]

# --- columns ----------------------------------------------------------------------------------------------------
OP = 0
AT = 1  # state in S
OUT = 2  # first output in S; of WRITE the first of N1 slots in `out`
START = 3  # bars of its timeframe that must lie before the current one; of FRAME the bars it needs to be complete
N1 = 4  # whole parameters
N2 = 5
N3 = 6
CONSTANT = 7  # first float parameter in C
A = 8  # inputs in S
B = 9
D = 10
E = 11
F = 12
COLUMNS = 13

# --- operations -------------------------------------------------------------------------------------------------
BASE, FRAME, WRITE, MICRO = 0, 1, 2, 3
EMA, RMA, SMA, WMA, DEMA, TEMA, TRIMA, HMA, VWMA, KAMA = 10, 11, 12, 13, 14, 15, 16, 17, 18, 19
T3, MACD, APO, PPO, LINEARREG, BBANDS, KELTNER, STDDEV = 20, 21, 22, 23, 24, 25, 26, 27
RSI, CMO, STOCHRSI, MOM, ROC, BOP, TRIX, TSI, CCI, ULTOSC = 40, 41, 42, 43, 44, 45, 46, 47, 48, 49
AO, ER, PERCENTRANK, CORREL = 50, 51, 52, 53
MAX, MIN, DONCHIAN, WILLR, AROON, STOCH, STOCHF, KDJ = 60, 61, 62, 63, 64, 65, 66, 67
DMI, ADXR, VORTEX, SAR, SUPERTREND = 80, 81, 82, 83, 84
OBV, AD, VWAP, ADOSC, CMF, MFI, EFI, RVOL, FLOW = 90, 91, 92, 93, 94, 95, 96, 97, 98
RANK, HMM, WEEK_SIN, WEEK_COS, UNTIL, SIGMA, DAY_SIN, DAY_COS = 110, 111, 112, 113, 114, 115, 116, 117
KNOWN, TOLD, IMBALANCE, LEAN, PRESSURE, TAKERS, TOXICITY = 120, 121, 122, 123, 124, 125, 126
AFFINE, PLUS, MINUS, TIMES, QUOTIENT, INVERSE, CLIP, SQUASH = 130, 131, 132, 133, 134, 135, 136, 137
ABS, LOG, SQRT, PER, SQUASH_PER, ZSCORE, DIFF = 138, 139, 140, 141, 142, 143, 144


def plan_step(code: Code, C: Row, S: Row, bar: Sequence[float], out: Row) -> None:
    """Run a program on one closed bar: open_time, open, high, low, close, volume, and what `micro` says may follow.

    Amortised O(len(code)). Families of operations are found by halves: one chain of all compiles to twice the time.
    """
    count = 0.0
    ready = True
    asleep = False
    for i in range(len(code)):
        c = code[i]
        op = c[OP]
        if op >= 130:
            if not asleep and count > c[START]:
                joins(op, c, C, S)
        elif op == WRITE:
            for k in range(c[N1]):
                out[c[OUT] + k] = S[c[A] + k] if ready else NAN
        elif op == BASE:
            k = c[CONSTANT]
            bar_step(S, c[AT], bar[0] + C[k], bar[1], bar[2], bar[3], bar[4], bar[5])
            count = S[c[AT]]
            asleep = False
            if count < c[START]:
                ready = False
        elif op == FRAME:
            k = c[CONSTANT]
            asleep = not frame_step(S, c[AT], C[k], C[k + 1], bar)
            count = S[c[AT]]
            if count < c[START]:
                ready = False
        elif op == MICRO:
            micro.micro_step(S, c[AT], bar)
        elif not asleep and count > c[START]:
            if op >= 80:
                if op < 110:
                    direction_of(op, c, C, S)
                elif op < 120:
                    regimes_of(op, c, C, S)
                else:
                    micro_of(op, c, S)
            elif op < 40:
                averages_of(op, c, C, S)
            elif op < 60:
                momentum_of(op, c, C, S)
            else:
                extremes_of(op, c, C, S)


def plan_history(code: Code, C: Row, S: Row, bars: Sequence[Sequence[float]], out: Sequence[Row]) -> None:
    """`plan_step` over bars of shape (T, 6 or more), oldest first, into features of shape (T, width)."""
    for t in range(len(bars)):
        plan_step(code, C, S, bars[t], out[t])


def averages_of(op: int, c: Sequence[int], C: Row, S: Row) -> None:
    at, o, n, x = c[AT], c[OUT], c[N1], S[c[A]]
    if op == EMA:
        S[o] = averages.ema_step(S, at, n, x)
    elif op == RMA:
        S[o] = averages.wilder_step(S, at, n, x)
    elif op == SMA:
        S[o] = mean_step(S, at, n, x)
    elif op == WMA:
        S[o] = ramps.wma_step(S, at, n, x)
    elif op == DEMA:
        S[o] = chains.dema_step(S, at, n, x)
    elif op == TEMA:
        S[o] = chains.tema_step(S, at, n, x)
    elif op == TRIMA:
        S[o] = ramps.trima_step(S, at, n, x)
    elif op == HMA:
        S[o] = ramps.hma_step(S, at, n, x)
    elif op == VWMA:
        S[o] = ramps.vwma_step(S, at, n, x, S[c[B]])
    elif op == KAMA:
        S[o] = chains.kama_step(S, at, n, x)
    elif op == T3:
        S[o] = chains.t3_step(S, at, n, C[c[CONSTANT]], x)
    elif op == MACD:
        S[o], S[o + 1], S[o + 2] = chains.macd_lines(S, at, n, c[N2], c[N3], x)
    elif op == APO:
        S[o] = chains.apo_step(S, at, n, c[N2], x)
    elif op == PPO:
        S[o] = chains.ppo_step(S, at, n, c[N2], x)
    elif op == LINEARREG:
        S[o], S[o + 1] = ramps.regression_step(S, at, n, x)
    elif op == BBANDS:
        S[o], S[o + 1], S[o + 2], S[o + 3] = arithmetic.bandwidth_step(S, at, n, C[c[CONSTANT]], x)
    elif op == KELTNER:
        S[o], S[o + 1], S[o + 2] = chains.keltner_step(S, at, n, c[N2], C[c[CONSTANT]], x, S[c[B]])
    elif op == STDDEV:
        S[o], S[o + 1] = arithmetic.deviation_step(S, at, n, x)


def momentum_of(op: int, c: Sequence[int], C: Row, S: Row) -> None:
    at, o, n, k, x = c[AT], c[OUT], c[N1], c[CONSTANT], S[c[A]]
    if op == RSI:
        S[o] = rsi_step(S, at, n, C[k], x)
    elif op == CMO:
        S[o] = momentum.cmo_step(S, at, n, x)
    elif op == STOCHRSI:
        S[o], S[o + 1] = extremes.stochrsi_step(S, at, n, c[N2], c[N3], C[k], x)
    elif op == MOM:
        S[o] = momentum.mom_step(S, at, n, x)
    elif op == ROC:
        S[o] = momentum.roc_step(S, at, n, x)
    elif op == BOP:
        S[o] = momentum.bop(x, S[c[B]], S[c[D]], S[c[E]])
    elif op == TRIX:
        S[o] = chains.trix_step(S, at, n, x)
    elif op == TSI:
        S[o] = chains.tsi_step(S, at, n, c[N2], x)
    elif op == CCI:
        S[o] = momentum.cci_step(S, at, n, x)
    elif op == ULTOSC:
        S[o] = momentum.ultosc_step(S, at, n, c[N2], c[N3], C[k], x, S[c[B]], S[c[D]], S[c[E]])
    elif op == AO:
        S[o] = momentum.ao_step(S, at, n, c[N2], x)
    elif op == ER:
        S[o], S[o + 1] = chains.efficiency_step(S, at, n, x)
    elif op == PERCENTRANK:
        S[o] = extremes.percentrank_step(S, at, n, x)
    elif op == CORREL:
        S[o] = ramps.correl_step(S, at, n, x, S[c[B]])


def extremes_of(op: int, c: Sequence[int], C: Row, S: Row) -> None:
    at, o, n, k, x = c[AT], c[OUT], c[N1], c[CONSTANT], S[c[A]]
    if op == MAX:
        S[o] = extremes.highest_step(S, at, n, x)
    elif op == MIN:
        S[o] = extremes.lowest_step(S, at, n, x)
    elif op == DONCHIAN:
        S[o], S[o + 1], S[o + 2] = extremes.donchian_step(S, at, n, x, S[c[B]])
    elif op == WILLR:
        S[o] = extremes.willr_step(S, at, n, C[k], x, S[c[B]], S[c[D]])
    elif op == AROON:
        S[o], S[o + 1], S[o + 2] = extremes.aroon_step(S, at, n, x, S[c[B]])
    elif op == STOCH:
        S[o], S[o + 1] = extremes.stoch_step(S, at, n, c[N2], c[N3], C[k], x, S[c[B]], S[c[D]])
    elif op == STOCHF:
        S[o], S[o + 1] = extremes.stochf_step(S, at, n, c[N2], C[k], x, S[c[B]], S[c[D]])
    elif op == KDJ:
        S[o], S[o + 1], S[o + 2] = extremes.kdj_step(S, at, n, c[N2], c[N3], C[k], x, S[c[B]], S[c[D]])


def direction_of(op: int, c: Sequence[int], C: Row, S: Row) -> None:
    """Direction and turnover."""
    at, o, n, k, x = c[AT], c[OUT], c[N1], c[CONSTANT], S[c[A]]
    y, z, u, v = S[c[B]], S[c[D]], S[c[E]], S[c[F]]
    if op == DMI:
        S[o], S[o + 1], S[o + 2], S[o + 3] = direction.dmi_step(S, at, n, x, y, z, u, v)
    elif op == ADXR:
        S[o] = direction.adxr_step(S, at, n, x, y, z, u, v)
    elif op == VORTEX:
        S[o], S[o + 1] = direction.vortex_step(S, at, n, x, y, z, u, v)
    elif op == SAR:
        S[o] = direction.sar_step(S, at, C[k], C[k + 1], x, y, z, u)
    elif op == SUPERTREND:
        S[o], S[o + 1] = direction.supertrend_step(S, at, n, C[k], x, y, z, u)
    elif op == OBV:
        S[o] = turnover.obv_step(S, at, x, y)
    elif op == AD:
        S[o] = turnover.ad_step(S, at, x, y, z, u)
    elif op == VWAP:
        S[o] = turnover.vwap_step(S, at, x, y)
    elif op == ADOSC:
        S[o] = turnover.adosc_step(S, at, n, c[N2], x, y, z, u)
    elif op == CMF:
        S[o] = turnover.cmf_step(S, at, n, x, y, z, u)
    elif op == MFI:
        S[o] = turnover.mfi_step(S, at, n, C[k], x, y, z)
    elif op == EFI:
        S[o] = turnover.efi_step(S, at, n, x, y)
    elif op == RVOL:
        S[o] = turnover.rvol_step(S, at, n, x)
    elif op == FLOW:
        S[o], S[o + 1] = flow_step(S, at, n, x, y)


def regimes_of(op: int, c: Sequence[int], C: Row, S: Row) -> None:
    at, o, n, x = c[AT], c[OUT], c[N1], S[c[A]]
    if op == RANK:
        S[o] = regimes.rank_step(S, at, n, x, S[c[B]])
    elif op == HMM:
        regimes.hmm_step(S, at, n, c[N2], C, c[CONSTANT], x, S[c[B]], S[c[D]])
        for state in range(n):
            S[o + state] = S[at + 1 + state]
    elif op == WEEK_SIN:
        S[o] = regimes.week_sin(x)
    elif op == WEEK_COS:
        S[o] = regimes.week_cos(x)
    elif op == DAY_SIN:
        S[o] = regimes.day_sin(x)
    elif op == DAY_COS:
        S[o] = regimes.day_cos(x)
    elif op == UNTIL:
        S[o] = regimes.until(n, x)
    elif op == SIGMA:
        S[o] = arithmetic.sigma_step(S, at, n, x, S[c[B]])


def micro_of(op: int, c: Sequence[int], S: Row) -> None:
    """Order book and trades."""
    at, o, n, x, y = c[AT], c[OUT], c[N1], S[c[A]], S[c[B]]
    if op == KNOWN:
        S[o] = micro.known(x)
    elif op == TOLD:
        S[o] = micro.told(x)
    elif op == IMBALANCE:
        S[o] = micro.imbalance(n, x, y)
    elif op == LEAN:
        S[o] = x
    elif op == PRESSURE:
        S[o] = micro.pressure_step(S, at, n, x, y)
    elif op == TAKERS:
        S[o] = micro.takers_step(S, at, n, x, y)
    elif op == TOXICITY:
        S[o] = micro.toxicity_step(S, at, n, x, y)


def joins(op: int, c: Sequence[int], C: Row, S: Row) -> None:
    """What joins indicators into features."""
    o, k, x, y = c[OUT], c[CONSTANT], S[c[A]], S[c[B]]
    if op == AFFINE:
        S[o] = arithmetic.affine(C[k], C[k + 1], x)
    elif op == SQUASH_PER:
        S[o] = arithmetic.squash_per(C[k], x, y, S[c[D]])
    elif op == CLIP:
        S[o] = clip(x, C[k])
    elif op == SQUASH:
        S[o] = squash(x)
    elif op == PLUS:
        S[o] = x + y
    elif op == MINUS:
        S[o] = x - y
    elif op == TIMES:
        S[o] = x * y
    elif op == QUOTIENT:
        S[o] = arithmetic.quotient(x, y)
    elif op == INVERSE:
        S[o] = arithmetic.inverse(C[k], x)
    elif op == ABS:
        S[o] = abs(x)
    elif op == LOG:
        S[o] = arithmetic.logarithm(x)
    elif op == SQRT:
        S[o] = arithmetic.root(x)
    elif op == PER:
        S[o] = arithmetic.per(x, y, S[c[D]])
    elif op == ZSCORE:
        S[o] = arithmetic.zscore_step(S, c[AT], c[N1], x)
    elif op == DIFF:
        S[o] = arithmetic.diff_step(S, c[AT], x)
