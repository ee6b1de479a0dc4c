"""What is known of a value while a program is built: where it stands, when it begins, what it remembers, its bounds."""

from math import inf

from msgspec import Struct
from msgspec.structs import replace


class Value(Struct, frozen=True):
    """A number per bar: S[place] * scale + shift, or place per yardstick where `yardstick` is set."""

    place: int
    minutes: int  # of the bars it belongs to; 0 for the plan's own
    first: int  # bars of its timeframe before its first value
    stable: int | None = 0
    low: float = -inf
    high: float = inf
    scale: float = 1.0
    shift: float = 0.0
    yardstick: int = -1


def scaled(value: Value, scale: float, shift: float) -> Value:
    ends = sorted((value.low * scale + shift, value.high * scale + shift)) if scale else [shift, shift]
    return replace(value, scale=value.scale * scale, shift=value.shift * scale + shift, low=ends[0], high=ends[1])


def interval(symbol: str, left: Value, right: Value) -> tuple[float, float]:
    """Bounds of a sum, difference or product; none for a quotient or where one side has none."""
    ends = (left.low, left.high, right.low, right.high)
    if symbol == "/" and left.low >= 0.0 and right.low >= 0.0:
        return 0.0, inf
    if symbol == "/" or any(abs(end) == inf for end in ends):
        return -inf, inf
    if symbol == "+":
        return left.low + right.low, left.high + right.high
    if symbol == "-":
        return left.low - right.high, left.high - right.low
    products = [a * b for a in (left.low, left.high) for b in (right.low, right.high)]
    return min(products), max(products)
