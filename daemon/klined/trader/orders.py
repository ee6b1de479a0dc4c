"""The life of one order: what it is, what was heard about it, what it becomes.

    Intended ─ Sent ─▶ InFlight ─ Accepted ─▶ Working ─ Traded… ─▶ Filled
       ▲                  │                      └─ Ended ───────▶ Closed
       │                  ├─ Denied ─────────────────────────────▶ Closed
       │                  └─ Doubted ─▶ Unknown ─ Accepted ──────▶ Working
       │                                   ├───── Disproved ─────▶ Closed (inferred)
       └────────── Unsent ─────────────────┘

News comes repeated and in any order: a trade before the acceptance, an end before the last trade, an answer after the
user stream told everything. A trade is booked whenever it comes, even after `Closed`; then the order is marked `late`
and somebody must be told. `Closed` by inference is the only end that may prove wrong: an acceptance reopens it.

Pure: no clock, no I/O. News that contradicts what is known is a `Desync`.
"""

from decimal import Decimal

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from klined.domain import (
    ZERO,
    Accepted,
    Denied,
    Disproved,
    Doubted,
    Ended,
    Fill,
    Intent,
    Liquidated,
    OrderNews,
    Sent,
    Traded,
    Unsent,
)
from klined.errors import Desync

DISPROVED = "never reached the venue"


class Intended(Struct, frozen=True, tag=True):
    """Durable, not yet sent."""

    intent: Intent


class InFlight(Struct, frozen=True, tag=True):
    """Sent once; no answer yet."""

    intent: Intent
    signed_at_ms: int  # the venue refuses it after signed_at_ms + recvWindow


class Unknown(Struct, frozen=True, tag=True):
    """Sent, and the answer proves nothing: it counts in full against every limit until evidence settles it."""

    intent: Intent
    signed_at_ms: int  # or the latest moment at which it can have been signed


class Working(Struct, frozen=True, tag=True):
    """Known to the venue; `filled` is signed like the intent's quantity."""

    intent: Intent
    filled: Decimal = ZERO
    trade_ids: tuple[str, ...] = ()  # in the order heard, so that the encoded bytes are reproducible


class Filled(Struct, frozen=True, tag=True):
    """Executed in full."""

    intent: Intent
    trade_ids: tuple[str, ...] = ()
    late: bool = False  # completed by a trade that was heard after its end


class Closed(Struct, frozen=True, tag=True):
    """Will trade no more; `filled` may be anything from nothing to just short of the whole."""

    intent: Intent
    filled: Decimal
    reason: str
    trade_ids: tuple[str, ...] = ()
    denied: bool = False  # refused for sure: it never was at the venue
    inferred: bool = False  # by evidence, not by the venue's word
    late: bool = False  # a trade was heard after the end


Order = Intended | InFlight | Unknown | Working | Filled | Closed

_ENDED = (Filled, Closed)
_encoder = msgspec.json.Encoder()
_decoder: msgspec.json.Decoder[Order] = msgspec.json.Decoder(Order)


def encode(order: Order) -> bytes:
    """JSON, the same bytes for the same state."""
    return _encoder.encode(order)


def decode(raw: bytes) -> Order:
    """Raises: msgspec.DecodeError when `raw` is not an encoded order."""
    return _decoder.decode(raw)


def advance(order: Order, heard: OrderNews) -> Order:  # noqa: PLR0911 # a table: one return per kind of news
    """What `order` is after `heard`.

    Raises:
        Desync: the venue says what cannot follow, such as more trades than were ordered.
    """
    match heard:
        case Traded(fill):
            return _trade(order, fill)
        case Sent(signed_at_ms=signed_at_ms):
            return _sent(order, signed_at_ms)
        case Accepted() | Doubted():
            return _answered(order, heard)
        case Unsent():
            return _unsent(order)
        case Ended(reason=reason):
            return _ended(order, reason)
        case Denied(reason=reason):
            return _denied(order, reason)
        case Disproved():
            return _disproved(order)


def exposure_max(order: Order) -> Decimal:
    """Largest base quantity, signed, that `order` may still add to the position (invariant I2)."""
    match order:
        case Intended(intent) | InFlight(intent) | Unknown(intent):
            return intent.quantity
        case Working(intent, filled):
            return intent.quantity - filled
        case Filled() | Closed():
            return ZERO


def filled_quantity(order: Order) -> Decimal:
    """Base quantity executed so far, signed."""
    match order:
        case Intended() | InFlight() | Unknown():
            return ZERO
        case Working(filled=filled) | Closed(filled=filled):
            return filled
        case Filled(intent):
            return intent.quantity


def cause_of(order: Order | None, news: Traded | Liquidated) -> str | None:
    """Why there was a trade; None: the order is none of ours."""
    if isinstance(news, Liquidated):
        return "liquidation"
    return None if order is None else order.intent.cause.value


def is_open(order: Order) -> bool:
    """Whether it may still trade, as far as is known."""
    return not isinstance(order, _ENDED)


def _sent(order: Order, signed_at_ms: int) -> Order:
    match order:
        case Intended(intent):
            return InFlight(intent, signed_at_ms)
        case InFlight() | Unknown() if order.signed_at_ms != signed_at_ms:
            raise _contradiction(order, f"was sent again, signed at {signed_at_ms}")
        case _:
            return order  # the user stream was faster than our own note of having sent


def _answered(order: Order, heard: Accepted | Doubted) -> Order:
    match order, heard:
        case ((Intended(intent) | InFlight(intent) | Unknown(intent)), Accepted()):
            return Working(intent)
        case InFlight(intent, signed_at_ms), Doubted():
            return Unknown(intent, signed_at_ms)
        case Closed(inferred=True), Accepted():
            return Working(order.intent, order.filled, order.trade_ids)
        case Closed(denied=True), Accepted():
            raise _contradiction(order, "was accepted after all")
        case Intended(), Doubted():
            raise _contradiction(order, "was doubted but never sent")
        case _:
            return order  # late news of what is already known


def _unsent(order: Order) -> Order:
    match order:
        case Intended() | InFlight() | Unknown():
            return Intended(order.intent)
        case _:
            raise _contradiction(order, "is said to have never been sent")


def _ended(order: Order, reason: str) -> Order:
    match order:
        case Filled() | Closed():
            return order  # a repeat, or nothing is left to end
        case Working(intent, filled, trade_ids):
            return Closed(intent, filled, reason, trade_ids)
        case Intended(intent) | InFlight(intent) | Unknown(intent):
            return Closed(intent, ZERO, reason)


def _denied(order: Order, reason: str) -> Order:
    match order:
        case Closed() if not order.filled:
            return order
        case Intended() | InFlight() | Unknown() | Working() if not filled_quantity(order):
            return Closed(order.intent, ZERO, reason, denied=True)
        case _:
            raise _contradiction(order, f"was refused ({reason}) although it traded")


def _disproved(order: Order) -> Order:
    match order:
        case InFlight(intent) | Unknown(intent):
            return Closed(intent, ZERO, DISPROVED, inferred=True)
        case Closed():
            return order
        case _:
            raise _contradiction(order, "cannot be disproved")


def _trade(order: Order, fill: Fill) -> Order:
    """Count `fill` once, whatever the venue repeats."""
    match order:
        case Intended(intent) | InFlight(intent) | Unknown(intent):
            order = Working(intent)
        case Working() | Filled() | Closed() if fill.trade_id in order.trade_ids:
            return order
        case _:
            pass
    intent, filled, ids = order.intent, filled_quantity(order) + fill.quantity, (*order.trade_ids, fill.trade_id)
    if fill.quantity * intent.quantity <= 0 or abs(filled) > abs(intent.quantity):
        raise _contradiction(order, f"traded {fill.quantity} (trade {fill.trade_id}), that makes {filled}")
    if filled == intent.quantity:
        return Filled(intent, ids, late=isinstance(order, Closed))
    if isinstance(order, Closed):
        return replace(order, filled=filled, trade_ids=ids, late=True)
    return Working(intent, filled, ids)


def _contradiction(order: Order, what: str) -> Desync:
    intent = order.intent
    return Desync(
        f"order {intent.client_id} of {intent.quantity} {intent.symbol}, {type(order).__name__}, {what}; "
        "no new orders until the account is reconciled"
    )
