"""What a feed may tell of a bar beside its prices: who traded aggressively, and how the order book stood.

    bar      open time, open, high, low, close, volume │ MICRO more, or none
    S block  the same numbers, or the sign that they are not known

Nothing is invented: where a feed tells nothing, TAKEN and SPREAD are -1, features are 0 and the masks `trades.known`
and `book.known` say so. Sources: imbalance and micro-price, Stoikov (2018), eq. 1; order flow, Cont, Kukanov, Stoikov
(2014), section 2.1; VPIN, Easley, Lopez de Prado, O'Hara (2012), eq. 6, over bars of time instead of volume.
"""

from collections.abc import Sequence

from klined.kernels.rows import Row
from klined.kernels.windows import pair_step

NAN = float("nan")
BAR = 6  # numbers of every bar
TAKEN = 0  # base asset bought by takers within the bar; -1: not known
SPREAD = 1  # ask - bid at the close, fraction of their middle; -1: no book was seen
LEAN = 2  # micro-price above the middle at the close, fraction of the middle
ORDER_FLOW = 3  # sum of e_n over the bar, base asset: positive when bids grow or asks shrink
TOUCH = 4  # mean size at the best bid and ask over the bar, base asset
DEPTHS = 5  # from here on bid and ask size within the best LEVELS at the close, base asset
LEVELS = (1, 5, 10, 20)
MICRO = 13


def micro_step(S: Row, at: int, bar: Sequence[float]) -> None:
    """Show in the block what `bar` tells beside its prices. State: none that outlives the bar."""
    if len(bar) >= BAR + MICRO:
        for k in range(MICRO):
            S[at + k] = bar[BAR + k]
    else:
        for k in range(MICRO):
            S[at + k] = 0.0
        S[at + TAKEN] = bar[BAR] if len(bar) > BAR else -1.0
        S[at + SPREAD] = -1.0


def known(x: float) -> float:
    """1 where the number was told, 0 where it stands for none."""
    return 1.0 if x >= 0.0 else 0.0


def told(x: float) -> float:
    """The number, and 0 where it stands for none."""
    return x if x >= 0.0 else 0.0


def same(x: float) -> float:
    return x


def imbalance(levels: int, bid: float, ask: float) -> float:  # noqa: ARG001 - `levels` chose bid and ask
    """(bid - ask) / (bid + ask) in [-1, 1], 0 without a book."""
    return (bid - ask) / (bid + ask) if bid + ask > 0.0 else 0.0


def pressure_step(S: Row, at: int, n: int, flow: float, touch: float) -> float:
    """Order flow of the last n bars over the size that stood in its way, 0 without a book. State of `flow_step`."""
    moved, stood = pair_step(S, at, n, flow, touch)
    if S[at] < n:
        return NAN
    return moved / stood if stood > 0.0 else 0.0


def takers_step(S: Row, at: int, n: int, taken: float, volume: float) -> float:
    """What takers bought less what they sold, over the volume, of the last n bars in [-1, 1]; 0 where not known."""
    bought = taken + taken - volume if taken >= 0.0 else 0.0
    net, gross = pair_step(S, at, n, bought, volume if taken >= 0.0 else 0.0)
    if S[at] < n:
        return NAN
    return max(-1.0, min(1.0, net / gross)) if gross > 0.0 else 0.0


def toxicity_step(S: Row, at: int, n: int, taken: float, volume: float) -> float:
    """Sum of |bought - sold| by takers over the volume of the last n bars in [0, 1]; 0 where not known."""
    apart = abs(taken + taken - volume) if taken >= 0.0 else 0.0
    total, gross = pair_step(S, at, n, apart, volume if taken >= 0.0 else 0.0)
    if S[at] < n:
        return NAN
    return max(0.0, min(1.0, total / gross)) if gross > 0.0 else 0.0
