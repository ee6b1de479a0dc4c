"""The rules of a game that lanes play, in one row Z, the same for all of them; and what an action may be.

    Z: weights and parameters of the reward │ sizing │ kind of action, balance, ends, what the observation has

An action is checked before anything moves: a number beyond its bounds, NaN or weights that do not sum to one refuse the
whole step.
"""

from klined.kernels.layout import MAX_EXPOSURE
from klined.kernels.oscillators import clip
from klined.kernels.rewards import NZ_REWARDS
from klined.kernels.rows import Row
from klined.kernels.scaling import NZ_SCALING

SCALING = NZ_REWARDS
GAME = SCALING + NZ_SCALING
MODE = GAME
BALANCE = GAME + 1
RUIN = GAME + 2  # the episode ends at this part of BALANCE
RESET = GAME + 3  # what follows an end: NEXT_STEP, SAME_STEP or DISABLED
INTERVAL = GAME + 4  # ms
WINDOW = GAME + 5  # bars of price history in the observation
PORTFOLIO = GAME + 6  # 1: the account is part of the observation
CAP = GAME + 7  # largest weight of one symbol, WEIGHTS
STRICT = GAME + 8  # 1: weights must sum to one; 0: they are made to
SCALED = GAME + 9  # 1: sizing is on
OFFSET_MAX = GAME + 10  # farthest limit order, fraction of price, ORDERS
STOP_MAX = GAME + 11
WIDTH = GAME + 12  # of the market part of an observation
COMPARED = GAME + 13  # 1: rewards ask what buying and holding came to, and for the position
NZ = GAME + 14

LEVELS = 0.0  # an index into `levels` per symbol
CONTINUOUS = 1.0  # a target in [-1, 1] per symbol
WEIGHTS = 2.0  # a weight in [0, 1] per symbol, and that of cash
ORDERS = 3.0  # target in [-1, 1], limit offset in [0, 1], stop distance in [0, 1] per symbol

NEXT_STEP = 0.0
SAME_STEP = 1.0
DISABLED = 2.0

TOLERANCE = 1e-6  # of an action beyond its bounds; float32 is not exact
SUM_TOLERANCE = 1e-4


def fits(Z: Row, levels: Row, action: Row, n: int) -> bool:
    """Whether the action lies in its space; NaN never does."""
    mode = Z[MODE]
    if mode == LEVELS:
        most = float(len(levels))
        for i in range(n):
            if not 0.0 <= action[i] < most:
                return False
            if action[i] != float(int(action[i])):
                return False
        return True
    if mode == WEIGHTS:
        total = 0.0
        for i in range(n + 1):
            if not -TOLERANCE <= action[i] <= 1.0 + TOLERANCE:
                return False
            total += action[i]
        return Z[STRICT] == 0.0 or abs(total - 1.0) <= SUM_TOLERANCE
    width = 3 if mode == ORDERS else 1
    for i in range(n * width):
        least = -1.0 if width == 1 or i - int(i / 3) * 3 == 0 else 0.0
        if not least - TOLERANCE <= action[i] <= 1.0 + TOLERANCE:
            return False
    return True


def target_of(Z: Row, levels: Row, P: Row, action: Row, n: int, i: int) -> float:
    """What the action wants of symbol `i`, as a target; 1.0 is MAX_EXPOSURE times equity."""
    mode = Z[MODE]
    if mode == LEVELS:
        return levels[int(action[i])]
    if mode == WEIGHTS:
        total = 0.0
        for j in range(n + 1):
            total += action[j] if action[j] > 0.0 else 0.0
        weight = action[i] / total if total > 0.0 and action[i] > 0.0 else 0.0
        if weight > Z[CAP]:
            weight = Z[CAP]
        weight = weight / P[MAX_EXPOSURE]
        return weight if weight < 1.0 else 1.0
    target = action[i * 3] if mode == ORDERS else action[i]
    return clip(target, 1.0)
