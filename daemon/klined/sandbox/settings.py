"""What a sandbox is like: one frozen value, from a TOML file and the command line."""

from pathlib import Path
from typing import Any, Literal

import msgspec
from msgspec import Struct

from klined.errors import ConfigError
from klined.sandbox.faults import Fault
from klined.world.book import Depth
from klined.world.fees import FeeTier
from klined.world.frictions import Frictions
from klined.world.scenarios import parsed

DEMO_KEY = "sandbox-key"
DEMO_SECRET = "sandbox-secret"  # noqa: S105 - of a make-believe exchange


class Key(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An API key and what it may do. Give a `secret` (HMAC) or the PEM of an Ed25519 public key."""

    key: str
    secret: str = ""
    ed25519: str = ""
    trade: bool = True
    futures: bool = True
    withdraw: bool = False
    transfer: bool = False
    ip_restrict: bool = False

    def __repr__(self) -> str:
        return f"Key({self.key!r}, ...)"


class Limits(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Request weight per minute and IP, orders per account."""

    weight: int = 6000
    orders_10s: int = 50
    orders_1m: int = 0  # 0: no such limit
    orders_1d: int = 160_000
    raw_5m: int = 300_000  # requests of any weight in five minutes; 0: no such limit
    connections_5m: int = 300  # websockets opened in five minutes; 0: no such limit
    ban_after: int = 20  # requests sent in spite of a 429
    ban_s: int = 120


FUTURES_LIMITS = Limits(weight=2400, orders_10s=300, orders_1m=1200, orders_1d=0, raw_5m=0, connections_5m=0)


class SandboxSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """See docs/sandbox.md for what each is for."""

    host: str = "127.0.0.1"
    port: int = 9900
    state: str = ""  # directory; empty: nothing is kept
    spot: tuple[str, ...] = ("BTC/USDT", "ETH/USDT")
    perp: tuple[str, ...] = ("BTC/USDT:USDT", "ETH/USDT:USDT")
    files: tuple[str, ...] = ()  # recorded bars; else a made-up market
    spot_info: str = ""  # a real exchangeInfo to take the rules from
    perp_info: str = ""
    timeframe: str = "1m"  # of the market's own bars
    seed: int = 7
    speed: float = 1.0  # sandbox seconds per second; 0: time stands still but for /sandbox/step
    start_ms: int = 0  # the clock's first time; 0: now
    history: int = 1500  # bars that exist at the start
    step_ms: int = 250  # wall time between price moves
    balances: dict[str, str] = msgspec.field(default_factory=lambda: {"USDT": "10000", "BTC": "0.1", "ETH": "1"})
    wallets: dict[str, str] = msgspec.field(default_factory=lambda: {"USDT": "10000"})
    leverage: int = 20
    bnb_price: str = ""  # quote; fees are paid in BNB while there is some
    keys: tuple[Key, ...] = (Key(key=DEMO_KEY, secret=DEMO_SECRET),)
    timestamps: Literal["sandbox", "wall", "either"] = "either"
    spot_limits: Limits = Limits()
    perp_limits: Limits = FUTURES_LIMITS
    average_in_answers: bool = False  # futures order answers bear avgPrice and cumQuote
    legacy_futures_paths: bool = False  # /ws and /stream of futures still send
    ping_spot_s: float = 20.0
    ping_perp_s: float = 180.0
    pong_spot_s: float = 60.0
    pong_perp_s: float = 600.0
    lifetime_s: float = 86_400.0  # of a websocket
    kline_spot_ms: int = 2000
    kline_perp_ms: int = 250
    funding_interval_h: int = 8
    depth: Depth = Depth()
    frictions: Frictions | None = None  # latency, outages and refusals by chance
    spot_fees: tuple[FeeTier, ...] = ()  # tiers; none: the fees of each symbol
    perp_fees: tuple[FeeTier, ...] = ()
    scenarios: tuple[str, ...] = ()  # like flash_crash:start=600,depth=0.2; see docs/markets.md
    faults: tuple[Fault, ...] = ()


def read_settings(path: Path | None, **given: Any) -> SandboxSettings:
    """The settings of `path`, where what is `given` (and not None) replaces it.

    Raises:
        ConfigError: no such file, no TOML, an unknown name or a wrong value.
    """
    try:
        raw = msgspec.toml.decode(path.read_bytes()) if path is not None else {}
    except FileNotFoundError:
        raise ConfigError(f"no file {path}; klined sandbox starts without one as well") from None
    except (OSError, msgspec.DecodeError, ValueError) as fault:
        raise ConfigError(f"{path}: {fault}") from fault
    raw.update({name: value for name, value in given.items() if value is not None})
    try:
        settings = msgspec.convert(raw, SandboxSettings, strict=False)
    except msgspec.ValidationError as fault:
        raise ConfigError(f"{path or 'sandbox settings'}: {fault}; see docs/sandbox.md") from fault
    for text in settings.scenarios:
        parsed(text)
    if settings.host not in {"127.0.0.1", "localhost", "::1"}:
        raise ConfigError(f"host {settings.host}: the sandbox listens on loopback only; use 127.0.0.1")
    return settings
