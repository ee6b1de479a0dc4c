"""Why the gate refused, as a sentence with the number and its limit."""

from collections.abc import Callable
from decimal import Decimal

from klined.domain import Instrument, Reason

Sentence = Callable[[float, float], str]
"""From what a check measured and what it allows to a sentence."""

PLAIN: dict[Reason, str] = {
    Reason.KILL_FILE: "the kill-switch file exists",
    Reason.PAUSED: "paused: no new exposure, exits still work",
    Reason.GAP: "the last bar did not follow its predecessor",
    Reason.OBSERVATION: "the observation holds a value that is not finite",
    Reason.MODEL: "no policy with a verified manifest is loaded",
    Reason.DESYNC: "ledger and venue disagree; reconciling",
    Reason.ORDER_UNKNOWN: "an earlier order of this symbol may or may not have happened",
    Reason.NOT_TRADING: "the venue does not accept orders for this symbol",
    Reason.DUPLICATE: "this bar already decided an order for this symbol",
    Reason.CLIPPED: "the policy wants a short where none can be; read as flat",
}


def _halted(code: float, _limit: float) -> str:
    return f"halted by {Reason(int(code)).name.lower()}; `klined resume` after a look" if code else "halted"


def _percent(what: str) -> Sentence:
    return lambda value, limit: f"{what} {value * 100:.2f} % (limit {limit * 100:g} %)"


def _ratio(what: str) -> Sentence:
    return lambda value, limit: f"{what} {value:.4g} x equity (limit {limit:g})"


def _number(what: str) -> Sentence:
    return lambda value, limit: f"{what} {value:.6g} (limit {limit:.6g})"


def _nth(what: str) -> Sentence:
    return lambda value, limit: f"{ordinal(int(value))} {what} (limit {limit:g})"


def _seconds(what: str) -> Sentence:
    return lambda value, limit: f"{what} {value / 1000:.1f} s (limit {limit / 1000:g} s)"


SENTENCES: dict[Reason, Sentence] = {
    Reason.HALTED: _halted,
    Reason.STALE_BAR: _seconds("no usable price, or the bar is old: age"),
    Reason.CLOCK_SKEW: _seconds("the clock is off by"),
    Reason.WARMUP: lambda value, limit: f"warming up: {value:g} of {limit:g} bars",
    Reason.OUT_OF_RANGE: _number("observation outside the policy's training range by"),
    Reason.ACTION: lambda value, _: f"the policy answered {value}, which is no target",
    Reason.DAY_LOSS: _percent("loss of the day"),
    Reason.WEEK_LOSS: _percent("loss of the week"),
    Reason.DRAWDOWN: _percent("only smaller positions: drawdown"),
    Reason.DRAWDOWN_HALT: _percent("halting: drawdown"),
    Reason.LOSSES_IN_ROW: lambda value, limit: f"cooling down after {value:g} losses in a row (limit {limit:g})",
    Reason.COOLDOWN: lambda value, _: f"cooling down for another {value / 1000:g} s",
    Reason.TRADES_HOUR: _nth("fill in 1 h"),
    Reason.TRADES_DAY: _nth("fill in 1 day"),
    Reason.TURNOVER: _ratio("turnover of the day"),
    Reason.FEE_BUDGET: _percent("fees of the day"),
    Reason.LEVERAGE: _ratio("leverage or cash: notional"),
    Reason.GROSS: _ratio("gross exposure"),
    Reason.NET: _ratio("net exposure"),
    Reason.SYMBOL_CAP: _ratio("exposure of this symbol"),
    Reason.CLUSTER: _ratio("exposure of symbols that move together"),
    Reason.LIQUIDATION: lambda value, limit: f"liquidation {value * 100:.2f} % away (at least {limit * 100:.2f} %)",
    Reason.NOTIONAL_MAX: _number("order of"),
    Reason.PARTICIPATION: _number("order against the bar's volume:"),
    Reason.COLLAR: _percent("the last bar moved"),
    Reason.SPREAD: _percent("spread"),
    Reason.DEPTH: _number("order against the book's depth:"),
    Reason.LOT: _number("lots of the order"),
    Reason.NOTIONAL_MIN: lambda value, limit: f"order of {value:.4g} quote is too small (venue's minimum {limit:g})",
    Reason.PERCENT_PRICE: _number("expected price over reference"),
    Reason.ORDERS_MAX: _nth("open order"),
    Reason.EXIT_PLAN: lambda value, limit: f"a position of {value:g} lots could not be left again (needs {limit:g})",
    Reason.SELF_CROSS: lambda value, limit: f"order of {value:+g} lots against our own open {limit:+g}",
    Reason.RATE_BUDGET: _nth("order in a minute"),
    Reason.FUNDING_WINDOW: _percent("funding just ahead would cost"),
}


def sentence(reason: Reason, value: float = 0.0, limit: float = 0.0) -> str:
    """What `reason` says about the number a check measured and its limit."""
    tell = SENTENCES.get(reason)
    return tell(value, limit) if tell is not None else PLAIN.get(reason, reason.name.lower().replace("_", " "))


def fault_sentence(fault: Reason, quantity: Decimal, price: Decimal, reference: Decimal, instrument: Instrument) -> str:
    """What a filter says about an order that was asked for, with its numbers."""
    match fault:
        case Reason.LOT:
            least, most = instrument.quantity_min, instrument.quantity_max
            return f"a quantity of {abs(quantity):f} is not within {least:f} and {most:f}"
        case Reason.NOTIONAL_MIN:
            return sentence(fault, float(abs(quantity) * price), float(instrument.notional_min))
        case Reason.PERCENT_PRICE:
            low, high = instrument.percent_price_down * reference, instrument.percent_price_up * reference
            return f"a price of {price:f} is not within {low:f} and {high:f}, the venue's band around {reference:f}"
        case _:
            return sentence(fault)


def ordinal(number: int) -> str:
    """1st, 2nd, 3rd, 4th, 11th."""
    teens = number % 100 in {11, 12, 13}
    return f"{number}{'th' if teens else {1: 'st', 2: 'nd', 3: 'rd'}.get(number % 10, 'th')}"
