"""Client ids: what an order is called, unique for the life of the installation and the same again in a replay.

kl-7f3a9c-sv6l6o-0-0            the order that the gate approved on one bar for symbol 0
kl-7f3a9c-sv6l6o-0-2            the rest of it, priced anew for the second time
kl-7f3a9c-sv6l6o-0-b            a bid of a market maker; -a its ask
kl-7f3a9c-sv6l6o-0-f1mh8k2zc    a flatten at a certain millisecond
   │      │      │ └ what made it
   │      │      └ index of the symbol
   │      └ open time of the bar in seconds, base 36
   └ first six characters of the installation id
"""

import re

from klined.errors import StateError

INSTALLATION = re.compile(r"[a-z0-9]{6}")
DIGITS = "0123456789abcdefghijklmnopqrstuvwxyz"
ID_MAX = 36  # what Binance takes


class ClientIds:
    """Names orders of one installation.

    Raises:
        StateError: the installation id does not begin with six of a-z and 0-9.
    """

    __slots__ = ("prefix",)

    def __init__(self, installation: str) -> None:
        if INSTALLATION.match(installation) is None:
            raise StateError(f"installation id {installation!r} must begin with six of a-z and 0-9")
        self.prefix = f"kl-{installation[:6]}-"

    def order(self, bar_time_ms: int, index: int, n: int = 0) -> str:
        """Name of the n-th order that the bar opened at `bar_time_ms` decided for symbol `index`."""
        return f"{self.prefix}{base36(bar_time_ms // 1000)}-{index}-{n}"

    def quote(self, bar_time_ms: int, index: int, *, buys: bool) -> str:
        """Name of the order that rests on one side of the market."""
        return f"{self.prefix}{base36(bar_time_ms // 1000)}-{index}-{'b' if buys else 'a'}"

    def flatten(self, bar_time_ms: int, index: int, now_ms: int) -> str:
        """Name of the order that flattens symbol `index` at `now_ms`; a later try has another name."""
        return f"{self.prefix}{base36(bar_time_ms // 1000)}-{index}-f{base36(now_ms)}"

    def stop(self, bar_time_ms: int, index: int, now_ms: int) -> str:
        """Name of the stop that is to rest at the venue for symbol `index` from `now_ms` on."""
        return f"{self.prefix}{base36(bar_time_ms // 1000)}-{index}-s{base36(now_ms)}"

    def ours(self, client_id: str) -> bool:
        """Whether this installation named it."""
        return client_id.startswith(self.prefix)


def base36(number: int) -> str:
    """`number` >= 0 in digits and small letters."""
    digits = ""
    while number:
        number, digit = divmod(number, 36)
        digits = DIGITS[digit] + digits
    return digits or "0"
