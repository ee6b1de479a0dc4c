"""Many lanes at once, each an episode of its own: actions in; observations, rewards and ends out, in one call.

    action ─▶ target ─▶ scaled ─▶ gate_step ─▶ order ─▶ next bar: trade_bar, marks, stops ─▶ reward ─▶ observation

Everything that decides is the daemon's: the gate, fills, account, stops and day counters are the kernels of `lane`, in
its order. Only what no lane can change is looked up instead of stepped: the gauges G and the market part V of the
observation stand there for every bar, made by the same kernels from the beginning of the series. So an episode is a
lane that has run since then, and held nothing until its start. Where S has lanes, features and gauges are stepped.

    A (K, NA) Q (K, n, NQ) N (K, NN) U (K, NU) B (K, n, NB) Y (K, n, NY)     one lane: account, episode, reward, sizing
    M (L, n, NM) P (L, NP)                                              terms; lane k trades under those of N[k][TERMS]
    bars (n, T, 6) rates (n, T, 2) G (n, T, NG) V (T, width) C (T, n, n)     the market, shared by all lanes
    Z                                                                   parameters of the game, the same for all lanes
"""

from collections.abc import Sequence

from klined.kernels.ahead import place
from klined.kernels.game import fits
from klined.kernels.lives import BEGIN, close_lanes, open_lanes
from klined.kernels.phases import decide_lanes, judge_lanes, mark_lanes, observe_lanes, show_lanes, trade_lanes
from klined.kernels.rows import Row

TOGETHER = 16  # lanes that go through the phases of a step together: their rows stay in the CPU's nearest cache

Bars = Sequence[Sequence[Sequence[float]]]


def play_lanes(
    A: Sequence[Row],
    Q: Sequence[list[Row]],
    M: Sequence[list[Row]],
    P: Sequence[Row],
    C: Sequence[list[Row]],
    W: Sequence[Row],
    N: Sequence[Row],
    U: Sequence[Row],
    RING: Sequence[Row],
    B: Sequence[Sequence[Row]],
    Y: Sequence[Sequence[Row]],
    Z: Row,
    levels: Row,
    bars: Bars,
    rates: Bars,
    G: Sequence[Sequence[Row]],
    V: Sequence[Row],
    slots: Sequence[Sequence[int]],
    S: Sequence[Sequence[Row]],
    F: Sequence[Sequence[Row]],
    H: Sequence[Sequence[Row]],
    actions: Sequence[Row],
    O: Sequence[Row],
    LAST: Sequence[Row],
    R: Row,
    terminated: Row,
    truncated: Row,
    D: Sequence[Sequence[Row]],
    X: Sequence[Sequence[Row]],
    only: float,
) -> int:
    """Step every lane once; how many episodes ended, or -(k + 1) when the action of lane k cannot be: nothing moved.

    With `only` 1 no lane steps, but those whose N[BEGIN] is set begin. An episode that ends leaves its observation in
    O and, where the next one begins at once (SAME_STEP), in LAST.

    One symbol is told as a constant: compiled, that leaves loops over symbols, and their places in memory, out.
    """
    lanes = len(A)
    n = len(bars)
    if only == 0.0:
        for k in range(lanes):
            if not fits(Z, levels, actions[k], n) and N[k][BEGIN] == 0.0:
                return -(k + 1)
    rows = (A, Q, M, P, C, W, N, U, RING, B, Y, Z, levels, bars, rates, G, V, slots, S, F, H)
    told = (actions, O, LAST, R, terminated, truncated, D, X)
    if n == 1:
        return step_lanes(*rows, *told, only, 1)
    return step_lanes(*rows, *told, only, n)


def step_lanes(
    A: Sequence[Row],
    Q: Sequence[list[Row]],
    M: Sequence[list[Row]],
    P: Sequence[Row],
    C: Sequence[list[Row]],
    W: Sequence[Row],
    N: Sequence[Row],
    U: Sequence[Row],
    RING: Sequence[Row],
    B: Sequence[Sequence[Row]],
    Y: Sequence[Sequence[Row]],
    Z: Row,
    levels: Row,
    bars: Bars,
    rates: Bars,
    G: Sequence[Sequence[Row]],
    V: Sequence[Row],
    slots: Sequence[Sequence[int]],
    S: Sequence[Sequence[Row]],
    F: Sequence[Sequence[Row]],
    H: Sequence[Sequence[Row]],
    actions: Sequence[Row],
    O: Sequence[Row],
    LAST: Sequence[Row],
    R: Row,
    terminated: Row,
    truncated: Row,
    D: Sequence[Sequence[Row]],
    X: Sequence[Sequence[Row]],
    only: float,
    n: int,
) -> int:
    """Step the lanes, whose actions are known to fit; how many episodes ended.

    A few lanes at a time go through each phase together: within one lane every phase waits for the one before, but
    lanes do not wait for each other, so a CPU works on several.
    """
    lanes = len(A)
    ended = 0
    begin = 0
    while begin < lanes:
        end = min(begin + TOGETHER, lanes)
        first = place(begin)
        last = place(end)
        open_lanes(A, Q, W, N, U, RING, B, Y, Z, P, R, terminated, truncated, n, only, first, last)
        decide_lanes(A, Q, M, P, C, W, N, B, Y, Z, levels, bars, G, V, actions, D, n, first, last)
        trade_lanes(A, Q, M, P, W, N, U, Y, Z, bars, rates, X, n, first, last)
        for _ in range(2):
            show_lanes(Q, N, Y, Z, bars, G, V, slots, S, F, H, O, n, first, last)
            mark_lanes(A, Q, M, P, N, bars, n, first, last)
            over = judge_lanes(A, Q, N, U, RING, Y, Z, R, terminated, truncated, n, first, last)
            observe_lanes(A, Q, N, Z, bars, slots, O, n, first, last)
            ended += over
            again = close_lanes(A, Q, W, N, U, RING, B, Y, Z, P, O, LAST, n, over, first, last)
            if again == 0:
                break
        begin = end
    return ended
