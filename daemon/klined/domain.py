"""The values that travel through klined: frozen, checked where they are made, never in between.

Times are UTC epoch milliseconds (`*_ms`). Prices and volumes of bars are float64; quantities, prices and fees of
orders and fills are Decimal. Quantities are in the base asset, signed: + buys, - sells. A symbol is the unified name,
`ETH/USDT` on spot and `ETH/USDT:USDT` for a USDT-margined perpetual.
"""

from decimal import Decimal
from enum import IntEnum, StrEnum
from math import inf

from msgspec import Struct

from klined.errors import BadBar

ZERO = Decimal(0)


class Bar(Struct, frozen=True, gc=False, omit_defaults=True):
    """One closed kline.

    Raises:
        BadBar: a price is not finite and positive, high or low do not enclose open and close, volume is negative.
    """

    symbol: str
    open_time_ms: int
    open: float
    high: float
    low: float
    close: float
    volume: float  # base asset
    micro: tuple[float, ...] = ()  # what the feed tells beside, as klined.kernels.micro names it; empty: nothing

    def __post_init__(self) -> None:
        # One chained comparison per price: NaN fails every comparison, so it needs no test of its own.
        if not (
            0.0 < self.low <= self.open <= self.high < inf
            and self.low <= self.close <= self.high
            and 0.0 <= self.volume < inf
        ):
            raise BadBar(
                f"{self.symbol} bar {self.open_time_ms}: open={self.open} high={self.high} low={self.low} "
                f"close={self.close} volume={self.volume} is no bar; dropped"
            )


class Purpose(IntEnum):
    """What a batch of bars may be used for."""

    TRADE = 0
    WARMUP = 1  # feeds the indicators before the first decision
    REFILL = 2  # fills a gap; too old to trade on


class Batch(Struct, frozen=True, gc=False):
    """All symbols' bars of one close time: the unit that travels through the stages."""

    close_time_ms: int  # first millisecond after the bars
    bars: tuple[Bar | None, ...]  # in configured order; None where none came within the grace
    purpose: Purpose = Purpose.TRADE

    def over(self, earlier: "Batch | None") -> "Batch":
        """This batch, with the bars of `earlier` where it has none."""
        if earlier is None or None not in self.bars:
            return self
        bars = (bar or old for bar, old in zip(self.bars, earlier.bars, strict=True))
        return Batch(self.close_time_ms, tuple(bars), self.purpose)


class Side(StrEnum):
    BUY = "buy"
    SELL = "sell"


class MarketKind(StrEnum):
    SPOT = "spot"
    PERP = "perp"  # USDT-margined perpetual


class Tier(Struct, frozen=True):
    """One maintenance-margin bracket of a perpetual."""

    notional_min: float  # quote; the tier holds from here
    mmr: float  # maintenance margin rate, fraction of notional
    cum: float  # maintenance amount, quote
    leverage_max: float


class Instrument(Struct, frozen=True):
    """What the venue allows for one symbol, and what trading it costs."""

    symbol: str
    venue_symbol: str  # the venue's own name, ETHUSDT
    kind: MarketKind
    base: str
    quote: str
    tick: Decimal  # price step, quote
    lot: Decimal  # quantity step, base
    quantity_min: Decimal
    quantity_max: Decimal  # of one market order
    notional_min: Decimal  # quote; reduce-only orders of perpetuals are exempt
    maker_fee: Decimal = Decimal("0.0002")  # fraction of notional
    taker_fee: Decimal = Decimal("0.0004")
    percent_price_up: Decimal = Decimal(5)  # limit price must lie within these multiples of the reference
    percent_price_down: Decimal = Decimal("0.2")
    orders_max: int = 200
    tiers: tuple[Tier, ...] = ()  # perpetuals only, ascending
    funding_interval_ms: int = 8 * 3_600_000
    trading: bool = True
    liquidation_fee: Decimal = Decimal("0.02")  # fraction of notional; perpetuals only


class OrderKind(StrEnum):
    MARKET = "market"
    LIMIT = "limit"
    POST_ONLY = "post_only"
    STOP = "stop"  # market order when the mark price reaches `price`


class Cause(StrEnum):
    """Why an order was wanted."""

    POLICY = "policy"
    STOP_FIXED = "stop.fixed"
    STOP_TRAIL = "stop.trail"
    STOP_BREAK_EVEN = "stop.break_even"
    STOP_TIME = "stop.time"
    STOP_VOLATILITY = "stop.volatility"
    REBALANCE = "rebalance"
    RISK = "risk"  # a limit was passed and the position is taken down
    FLATTEN = "flatten"
    HAND = "hand"  # somebody asked for this very order


class Intent(Struct, frozen=True, kw_only=True):
    """What we decided to send; durable before it is sent. A client id is a question, not an idempotency key."""

    client_id: str  # unique for the life of the installation, ^[.A-Z:/a-z0-9_-]{1,36}$
    symbol: str
    quantity: Decimal  # signed, a whole number of lots
    bar_time_ms: int  # open time of the bar that decided it
    kind: OrderKind = OrderKind.MARKET
    price: Decimal | None = None  # limit or stop price
    reduce_only: bool = False
    cause: Cause = Cause.POLICY


class Reason(IntEnum):
    """Why the gate let a target pass, held it, or refused it. The tens digit group is the check (x // 10)."""

    OK = 0
    HOLD_TARGET = 1  # the position already is what the policy wants
    HOLD_DEADBAND = 2  # the change is smaller than the deadband or one lot
    EXIT = 3  # a protective exit overrode the policy
    CLIPPED = 4  # the policy wants a short where none can be: read as flat
    KILL_FILE = 10
    HALTED = 11
    PAUSED = 12
    STALE_BAR = 20
    CLOCK_SKEW = 21
    GAP = 22
    WARMUP = 23
    OBSERVATION = 24
    MODEL = 30
    OUT_OF_RANGE = 31
    ACTION = 32
    DESYNC = 40
    ORDER_UNKNOWN = 41
    DAY_LOSS = 50
    WEEK_LOSS = 51
    DRAWDOWN = 60
    DRAWDOWN_HALT = 61
    LOSSES_IN_ROW = 70
    COOLDOWN = 71
    TRADES_HOUR = 80
    TRADES_DAY = 81
    TURNOVER = 82
    FEE_BUDGET = 83
    LEVERAGE = 90
    GROSS = 91
    NET = 92
    SYMBOL_CAP = 93
    CLUSTER = 94
    LIQUIDATION = 100
    NOTIONAL_MAX = 110
    PARTICIPATION = 111
    COLLAR = 112
    SPREAD = 113
    DEPTH = 114
    LOT = 120
    NOTIONAL_MIN = 121
    PERCENT_PRICE = 122
    ORDERS_MAX = 123
    EXIT_PLAN = 124
    NOT_TRADING = 125
    DUPLICATE = 130
    SELF_CROSS = 131
    RATE_BUDGET = 132
    FUNDING_WINDOW = 140

    @property
    def check(self) -> int:
        """Number of the gate's check (1 to 14); 0 for passing and holding."""
        return self.value // 10


class Target(Struct, frozen=True, gc=False):
    """What the policy wants for one symbol."""

    symbol: str
    fraction: float  # in [-1, 1] of max_exposure x equity; NaN when the policy failed
    output: tuple[float, ...] = ()  # the policy's raw numbers, for the journal


class Quote(Struct, frozen=True, gc=False):
    """Orders that a policy wants to rest on both sides of the market."""

    bid: float  # distance below the last close, in standard deviations of a bar's return (Q row SIGMA)
    ask: float  # above it
    buy: float  # size of the bid, fraction of max_exposure x equity, 0 for none
    sell: float


class Approved(Struct, frozen=True):
    """The only thing the executor sends; only the gate makes one."""

    intent: Intent
    note: str = ""  # what of the policy's wish was left out, and why


class Held(Struct, frozen=True, gc=False):
    """Nothing to do, and why."""

    symbol: str
    reason: Reason


class Refused(Struct, frozen=True):
    """The gate said no, and why; `detail` is a sentence with the number and its limit."""

    symbol: str
    reason: Reason
    detail: str


Verdict = Approved | Held | Refused


class Decision(Struct, frozen=True):
    """What was decided for one symbol on one closed bar, and why. Every bar has one."""

    bar_time_ms: int
    symbol: str
    observation: bytes  # float32, native order, in manifest order
    target: float  # as the policy gave it
    output: tuple[float, ...]
    verdict: Verdict


class Fill(Struct, frozen=True, kw_only=True):
    """One execution; the venue may repeat it, `trade_id` is unique per symbol."""

    trade_id: str
    client_id: str
    symbol: str
    quantity: Decimal  # signed like the intent's
    price: Decimal
    fee: Decimal  # >= 0 costs, in `fee_asset`
    fee_asset: str
    time_ms: int
    maker: bool = False


# What may be heard about one order, from an answer, a query or a user stream; repeated and in any order.
class Sent(Struct, frozen=True, tag=True):
    """The request left, signed at this time (venue clock); the venue refuses it after signed_at_ms + recvWindow."""

    client_id: str
    signed_at_ms: int


class Accepted(Struct, frozen=True, tag=True):
    """The venue knows the order."""

    client_id: str
    venue_id: str = ""


class Doubted(Struct, frozen=True, tag=True):
    """Time-out, reset, empty or truncated answer, 5xx: executed or not, nobody can tell."""

    client_id: str
    why: str = ""


class Denied(Struct, frozen=True, tag=True):
    """Certainly not executed."""

    client_id: str
    reason: str


class Disproved(Struct, frozen=True, tag=True):
    """The window has passed and orders, trades and position agree that it never happened."""

    client_id: str


class Unsent(Struct, frozen=True, tag=True):
    """An in-process venue proves from its durable ledger that the request never left: the first send is still due."""

    client_id: str


class Traded(Struct, frozen=True, tag=True):
    fill: Fill


class Ended(Struct, frozen=True, tag=True):
    """Cancelled or expired at the venue with a remainder; whatever it traded was told before."""

    client_id: str
    reason: str


class Funded(Struct, frozen=True, tag=True):
    """Funding of a perpetual position: `amount` > 0 is received, quote asset."""

    symbol: str
    amount: Decimal
    time_ms: int
    funding_id: str


class Liquidated(Struct, frozen=True, tag=True):
    """The venue closed the position itself; `fill.client_id` is the venue's own."""

    fill: Fill


class Transferred(Struct, frozen=True, tag=True):
    """Deposit (+) or withdrawal (-): moves the equity base, is no profit."""

    asset: str
    amount: Decimal
    time_ms: int
    transfer_id: str


OrderNews = Sent | Accepted | Doubted | Denied | Disproved | Unsent | Traded | Ended
News = OrderNews | Funded | Liquidated | Transferred


class Position(Struct, frozen=True):
    """The venue's view of one symbol; spot: the base balance."""

    symbol: str
    quantity: Decimal
    entry: Decimal = ZERO  # average entry price; 0 when flat or not known (spot)


class OpenOrder(Struct, frozen=True):
    """A working order at the venue; ours when `client_id` bears our installation's prefix."""

    client_id: str
    symbol: str
    quantity: Decimal
    filled: Decimal
    kind: OrderKind = OrderKind.MARKET


class Account(Struct, frozen=True):
    """The venue's truth at one moment."""

    time_ms: int
    balances: dict[str, Decimal]  # total per asset; perpetual: wallet balance of the margin asset
    positions: tuple[Position, ...]
    orders: tuple[OpenOrder, ...]


class Mode(StrEnum):
    RUNNING = "RUNNING"
    SAFE = "SAFE"  # no new exposure; exits, reconciliation and flatten still work
    HALTED = "HALTED"  # as SAFE, until a person resumes


class Event(Struct, frozen=True):
    """Something an observer or a person may want to know; `name` is `noun.past`."""

    time_ms: int
    level: str  # debug, info, warning, error
    name: str
    data: dict[str, str | int | float | bool | None]


class Input(Struct, frozen=True, gc=False):
    """Something a core was told; `seq` is the order in which replay tells it again."""

    seq: int
    time_ms: int
    kind: str  # batch, news, command, timer
    body: bytes  # JSON


class Record(Struct, frozen=True):
    """What one journal transaction holds."""

    seq: int  # of the newest input included
    time_ms: int  # close time of the batch, or of the news that caused it
    inputs: tuple[Input, ...] = ()
    decisions: tuple[Decision, ...] = ()
    intents: tuple[Intent, ...] = ()
    orders: tuple[tuple[str, bytes], ...] = ()  # client id, the order's state as JSON
    fills: tuple[Fill, ...] = ()
    events: tuple[Event, ...] = ()
    venue: tuple[tuple[str, bytes], ...] = ()  # the in-process exchange's own ledger: key, value


class Recovered(Struct, frozen=True):
    """What the journal knew when the last process ended."""

    seq: int  # of the last input committed; 0 for a new journal
    snapshot: bytes | None
    orders: tuple[tuple[str, bytes], ...]  # those not yet closed
    memory: dict[str, str]  # durable flags: installation id, pause, halt, flattening
    inputs: tuple[Input, ...] = ()  # committed after the snapshot: to be told to the cores again
    flattens: tuple[str, ...] = ()  # names of the newest orders that flattened: never to be used again
