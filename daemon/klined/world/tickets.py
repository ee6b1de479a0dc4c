"""What can be asked of a venue that works in real time, and what it remembers and tells of it.

    Ticket ─▶ Venue ─▶ Order ─▶ Changed, ... (news)
                 └───▶ Declined: a code and a sentence, as Binance puts them

Names of types, states and reasons are Binance's own. Quantities are not negative; `buy` says which way.
"""

from decimal import Decimal
from enum import StrEnum

from msgspec import Struct

from klined.domain import ZERO
from klined.errors import Rejected


class Declined(Rejected):
    """The order or call is refused: nothing happened."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(f"{code} {message}")
        self.code, self.message = code, message


class OrderType(StrEnum):
    LIMIT = "LIMIT"
    MARKET = "MARKET"
    LIMIT_MAKER = "LIMIT_MAKER"  # spot
    STOP_LOSS = "STOP_LOSS"
    STOP_LOSS_LIMIT = "STOP_LOSS_LIMIT"
    TAKE_PROFIT = "TAKE_PROFIT"  # spot: market; perpetual: limit
    TAKE_PROFIT_LIMIT = "TAKE_PROFIT_LIMIT"
    STOP = "STOP"  # perpetual: limit
    STOP_MARKET = "STOP_MARKET"
    TAKE_PROFIT_MARKET = "TAKE_PROFIT_MARKET"
    TRAILING_STOP_MARKET = "TRAILING_STOP_MARKET"

    @property
    def profit(self) -> bool:
        return self.value.startswith("TAKE_PROFIT")


class TimeInForce(StrEnum):
    GTC = "GTC"
    IOC = "IOC"
    FOK = "FOK"
    GTX = "GTX"  # perpetual: post-only
    GTD = "GTD"


class Status(StrEnum):
    NEW = "NEW"
    PENDING_NEW = "PENDING_NEW"  # of a list: it begins when the working order has filled
    PARTIALLY_FILLED = "PARTIALLY_FILLED"
    FILLED = "FILLED"
    CANCELED = "CANCELED"
    EXPIRED = "EXPIRED"
    REJECTED = "REJECTED"
    TRIGGERED = "TRIGGERED"  # an algo order that became an order
    FINISHED = "FINISHED"  # an algo order whose order has ended

    @property
    def open(self) -> bool:
        return self in {Status.NEW, Status.PARTIALLY_FILLED, Status.PENDING_NEW}


class Ticket(Struct, frozen=True, kw_only=True):
    """A wish for one order."""

    client_id: str
    symbol: str  # the venue's name, ETHUSDT
    buy: bool
    type: OrderType
    tif: TimeInForce = TimeInForce.GTC
    quantity: Decimal = ZERO
    quote_quantity: Decimal = ZERO  # instead of `quantity`: spend or raise that much
    price: Decimal = ZERO
    stop: Decimal = ZERO  # trigger price
    trailing: Decimal = ZERO  # fraction of the price that a trailing stop stays behind
    activation: Decimal = ZERO  # price from which a trailing stop follows
    reduce_only: bool = False
    close_position: bool = False
    position_side: str = "BOTH"
    working_type: str = "CONTRACT_PRICE"
    price_protect: bool = False
    price_match: str = "NONE"
    self_trade: str = "NONE"
    strategy: int = -1  # the client's own labels; -1: none
    strategy_type: int = -1
    good_till_ms: int = 0
    algo: bool = False  # of the algo service: waits outside the order book
    fill_fraction: Decimal | None = None  # a fault: fill this part, then expire


class Amendment(Struct, frozen=True, kw_only=True):
    """What an order was before it was amended, and what then."""

    number: int
    client_id: str  # before
    quantity: tuple[Decimal, Decimal]
    price: tuple[Decimal, Decimal]
    time_ms: int


class Order(Ticket, frozen=True, kw_only=True):
    """An order as the venue remembers it."""

    number: int
    status: Status = Status.NEW
    filled: Decimal = ZERO
    quote_filled: Decimal = ZERO
    created_ms: int = 0
    updated_ms: int = 0
    working_ms: int = -1  # when it came into the book; -1: it waits for its trigger
    follows: Decimal = ZERO  # best price a trailing stop has seen
    list_number: int = -1
    began_as: OrderType | None = None  # type at submission, where triggering changed it
    cancel_id: str = ""  # client id of the cancel
    child: int = 0  # algo: number of the order it became
    told: str = ""  # why it was rejected or expired
    ahead: Decimal = ZERO  # of others, in the queue before it, while it rests
    amendments: tuple[Amendment, ...] = ()

    @property
    def left(self) -> Decimal:
        return self.quantity - self.filled

    @property
    def working(self) -> bool:
        return self.working_ms >= 0

    @property
    def average(self) -> Decimal:
        return self.quote_filled / self.filled if self.filled else ZERO


class Trade(Struct, frozen=True, kw_only=True):
    """One execution of one of our orders."""

    number: int
    order: int
    symbol: str
    buy: bool
    price: Decimal
    quantity: Decimal
    fee: Decimal
    fee_asset: str
    maker: bool
    time_ms: int
    list_number: int = -1
    realised: Decimal = ZERO
    position_side: str = "BOTH"


class OrderList(Struct, frozen=True, kw_only=True):
    """Orders of which one ends the other; behind a `leader`, only once the first of them has filled."""

    number: int
    client_id: str
    symbol: str
    orders: tuple[int, ...]
    time_ms: int
    done: bool = False
    leader: bool = False  # the first order works, the others are pending until it has filled
    proceeds: bool = False  # what the leader brings is the quantity of the others


class Income(Struct, frozen=True, kw_only=True):
    """A movement of a perpetual wallet."""

    number: int
    symbol: str
    kind: str  # REALIZED_PNL, FUNDING_FEE, COMMISSION, TRANSFER
    amount: Decimal
    time_ms: int
    trade: str = ""


class Changed(Struct, frozen=True, kw_only=True):
    """Something happened to an order: `what` is Binance's execution type."""

    order: Order
    what: str  # NEW, TRADE, CANCELED, EXPIRED, REJECTED, REPLACED, AMENDMENT, CALCULATED
    time_ms: int
    trade: Trade | None = None
    execution: int = 0  # counts executions of the venue


class AlgoChanged(Struct, frozen=True, kw_only=True):
    order: Order
    time_ms: int


class ListChanged(Struct, frozen=True, kw_only=True):
    entry: OrderList
    what: str  # EXEC_STARTED, UPDATED, ALL_DONE
    time_ms: int


class BalanceMoved(Struct, frozen=True, kw_only=True):
    """Totals of these assets changed; `deltas` only where it came from outside (deposit, withdrawal)."""

    assets: tuple[str, ...]
    reason: str  # ORDER, FUNDING_FEE, DEPOSIT, WITHDRAW, MARGIN_TRANSFER
    time_ms: int
    symbol: str = ""
    deltas: tuple[Decimal, ...] = ()


VenueNews = Changed | AlgoChanged | ListChanged | BalanceMoved
