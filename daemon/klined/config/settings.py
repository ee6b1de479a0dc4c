"""The settings: one frozen section a class, one field a setting, its meaning beside it.

Every default is safe: a generated market, paper money, limits on. Units stand last in a name.
"""

from decimal import Decimal
from pathlib import Path
from typing import Literal

from pydantic import PrivateAttr, SecretStr
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from klined.config import places
from klined.config.fields import (
    BIGGEST,
    Name,
    OptionalFloat,
    OptionalPath,
    Paths,
    Scenarios,
    Section,
    Symbols,
    Timeframe,
    count,
    number,
    said,
    switch,
)
from klined.config.risk import Exits, Risk
from klined.domain import MarketKind
from klined.feeds.timeframe import TIMEFRAMES_MS


class Market(Section):
    """What is traded, and where its bars come from."""

    exchange: Name = said(
        "sim", '"sim" is a market inside this process; else the name of an exchange', 'a name, like "sim" or "binance"'
    )
    feed: Name | Literal[""] = said(
        "",
        "where bars come from, an entry point of klined.feeds; empty: generated for sim, else the exchange's own",
        'a name, like "generated" or "recorded"',
    )
    kind: MarketKind = said(MarketKind.SPOT, "spot, or perpetual futures margined in the quote", '"spot" or "perp"')
    symbols: Symbols = said(
        ("ETH/USDT",),
        "what to trade, in the order the policy sees it; all share one account",
        'a list like ["ETH/USDT"], or ["ETH/USDT:USDT"] for perpetuals',
    )
    timeframe: Timeframe = said("1m", "interval of the bars", f"one of {', '.join(TIMEFRAMES_MS)}")
    files: Paths = said(
        (),
        "what the recorded feed plays: CSV bars or recorded frames; ETHUSDT-1m.csv.gz belongs to ETH/USDT by its name",
        'a list of files, like ["ETHUSDT-1m.csv.gz"]',
    )
    scenarios: Scenarios = said(
        (),
        "trouble laid over a generated or recorded market, in bars from the first that is traded; klined market list",
        'a list like ["flash_crash:start=600,depth=0.2"]',
    )
    funding_file: OptionalPath = said(None, "CSV of past funding rates for a replayed perpetual", "a file")
    instruments_file: OptionalPath = said(None, "a saved exchangeInfo: lots, ticks and smallest orders", "a file")
    speed: float = number(
        60.0, "bars per second of a generated or recorded market; 0: as fast as possible", most=1e6, like="60"
    )
    seed: int = count(7, "seed of the generated market", most=2**31 - 1)
    bars: int = count(
        0,
        "end of a generated or recorded market after this many bars, warm-up not counted; 0: none",
        most=BIGGEST,
        like="500",
    )
    history_bars: int = count(0, "bars shown to the indicators before the first decision; 0: what the policy needs")
    stream_url: str = said(
        "", "websocket host of the live feed; empty: the exchange's own", "a URL, like wss://host/stream"
    )
    rest_url: str = said("", "REST host of the live feed; empty: the exchange's own", "a URL, like https://host")
    silence_grace_s: float = number(
        26.0,
        "a connected stream that is silent for two pushes (4 s) and so much longer is opened anew",
        most=3_600,
        like="26",
    )
    grace_ms: int = count(3_000, "how long a batch waits for symbols that are late", most=600_000)

    @property
    def interval_ms(self) -> int:
        """Length of a bar in milliseconds."""
        return TIMEFRAMES_MS[self.timeframe]

    @property
    def feed_name(self) -> str:
        """Entry point of the feed."""
        return self.feed or ("generated" if self.exchange == "sim" else self.exchange)


class Exchange(Section):
    """The account at the exchange. Keys never stand in the file."""

    api_key: SecretStr | None = said(None, "API key; only from the environment, .env or systemd credentials", "a key")
    api_secret: SecretStr | None = said(None, "its secret; as the key, and never printed", "a secret")
    password: SecretStr | None = said(None, "passphrase of the key, where an exchange has one; as the key", "a secret")
    testnet: bool = switch("talk to the exchange's test network", on=True)
    demo: bool = switch("talk to its demo network instead of the test network")
    rest_url: str = said("", "REST host for orders; empty: the network's own", "a URL, like https://host")
    user_stream_url: str = said("", "websocket of account events; empty: the network's own", "a URL, like wss://host")
    user_stream: bool = switch("listen to account events; without, fills are asked for", on=True)
    recv_window_ms: int = count(5_000, "how long after signing the exchange may still accept", least=500, most=5_000)
    leverage: int = count(5, "leverage set on every perpetual and read back", least=1, most=125)
    margin: Literal["isolated", "cross"] = said("isolated", "margin type of perpetuals", '"isolated" or "cross"')
    weight_share: float = number(
        0.5, "share of the exchange's request weight that this daemon may use", least=0.01, most=1, like="0.5"
    )
    reconcile_s: float = number(
        60.0, "how often the account is compared with the exchange's", least=1, most=3_600, like="60"
    )
    speed: float = number(
        1.0, "how much faster its clock runs: the --speed of a sandbox; 1 elsewhere", least=1, most=1_000, like="60"
    )
    countdown_s: float = number(
        120.0,
        "the exchange cancels working orders of perpetuals when it has not heard for so long; 0: off",
        most=3_600,
        like="120",
    )


class Policy(Section):
    """Who decides."""

    name: Name = said(
        "onnx",
        "an entry point of klined.policies: onnx, or a rule: flat, ema_cross, momentum, mean_reversion, market_maker",
        'a name, like "onnx" or "ema_cross"',
        reload=True,
    )
    model: OptionalPath = said(
        None, "the .onnx file with its manifest; empty: the shipped one", "a file, like models/my.onnx", reload=True
    )
    options: dict[str, str | int | float | bool] = said(
        {},
        "what the policy itself may be told, in a table [policy.options]",
        "a table of names and values, like enter = 2.0",
    )
    long_only: bool = switch("clip negative targets on perpetuals too (spot always does)")


class Orders(Section):
    """How ordinary orders are sent. Exits, flattens and what a limit takes down always go at the market."""

    type: Literal["market", "limit", "post_only"] = said(
        "market", "at the market, at a limit, or at a limit that never takes", '"market", "limit" or "post_only"'
    )
    offset_bps: float = number(
        0.0,
        "how far a limit lies from the last close, away from the market; negative: into it",
        least=-100,
        most=1_000,
        like="2",
    )
    reprice_after_s: float = number(
        15.0,
        "an order that rests for so long is cancelled, and its rest sent at a new price; 0: only at the next close",
        most=86_400,
        like="15",
    )
    reprices_max: int = count(3, "new prices in a row", most=1_000)
    then: Literal["market", "give_up"] = said("market", "what becomes of the rest after those", '"market" or "give_up"')


class Costs(Section):
    """What trading costs on paper, in replay and in training."""

    taker_fee_bps: OptionalFloat = number(
        None, "fee of market orders; empty: the instrument's own", most=1_000, like="4"
    )
    maker_fee_bps: OptionalFloat = number(
        None, "fee of resting orders; empty: the instrument's own", most=1_000, like="2"
    )
    half_spread_bps: float = number(1.0, "half the bid-ask spread", most=1_000, like="1")
    impact: float = number(1.0, "Y of the square-root law of market impact", most=100, like="1")
    participation: float = number(
        0.1, "largest share of a bar's volume that one order gets", least=0.000_001, most=1, like="0.1"
    )


class Paper(Section):
    """The paper account."""

    balance: Decimal = number(
        Decimal(10_000), "what it starts with, in the quote currency", least=0.01, most=1e12, like="10000"
    )


class Mode(Section):
    """Paper or real money."""

    paper: bool = switch("keep orders inside this process; false: send them to the test network", on=True)
    live: bool = switch("send real orders; also needs: klined run --live")


class Store(Section):
    """What is kept on disk."""

    dir: OptionalPath = said(
        None, "state directory; empty: $STATE_DIRECTORY under systemd, else ./state/<runtime.name>", "a directory"
    )
    retention_days: int = count(400, "decisions and bars older than this are pruned; orders and fills stay", least=1)
    backups: int = count(5, "backups kept", least=1, most=1_000)
    group_batches: int = count(1, "batches in one transaction; more than 1 only for replay", least=1, most=256)


class Runtime(Section):
    """The process."""

    name: Name = said("klined", "name of this daemon and of its state directory", 'a name, like "klined"')
    on_stop: Literal["flatten", "keep"] = said("flatten", "what a stop does with positions", '"flatten" or "keep"')
    flatten_deadline_s: float = number(
        60.0, "how long a stop tries to get flat before it ends with exit code 5", least=1, most=3_600, like="60"
    )
    stage_deadline_s: float = number(
        10.0, "longest silence of a stage before it counts as stuck", least=1, most=600, like="10"
    )
    control_socket: OptionalPath = said(
        None, "where status, why, pause, ... reach the daemon; empty: control.sock in the state directory", "a path"
    )
    uvloop: bool = switch("run on uvloop where it is installed", on=True)


class Notify(Section):
    """Alerts. Addresses of webhooks are secrets too: they are masked wherever text goes out."""

    webhook_url: str = said("", "where alerts are posted as JSON; empty: nowhere", "a URL, like https://host/hook")
    ping_url: str = said("", "a dead-man monitor that alarms when it is not called; empty: none", "a URL")
    ping_s: float = number(60.0, "how often the monitor is called", least=1, most=3_600, like="60")
    events: dict[str, Literal["loud", "silent", "off"]] = said(
        {},
        "how an event is told, in a table [notify.events]; otherwise errors are loud, warnings silent, the rest off",
        'a table of event names, or beginnings that end with a dot, like "order." = "silent"',
    )


class Log(Section):
    """What is printed."""

    format: Literal["auto", "keys", "json"] = said(
        "auto", "key=value, or JSON lines; auto: key=value on a terminal", '"auto", "keys" or "json"'
    )
    level: Literal["debug", "info", "warning", "error"] = said(
        "info", "least important level that is printed", '"debug", "info", "warning" or "error"', reload=True
    )


class Settings(BaseSettings):
    """All settings. `Settings()` is the defaults and reads nothing; `klined.config.load.load` reads the world."""

    model_config = SettingsConfigDict(extra="forbid", frozen=True)

    market: Market = Market()
    exchange: Exchange = Exchange()
    policy: Policy = Policy()
    risk: Risk = Risk()
    exits: Exits = Exits()
    orders: Orders = Orders()
    costs: Costs = Costs()
    paper: Paper = Paper()
    mode: Mode = Mode()
    store: Store = Store()
    runtime: Runtime = Runtime()
    notify: Notify = Notify()
    log: Log = Log()

    _origins: dict[str, str] = PrivateAttr(default_factory=dict)

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],  # noqa: ARG003 - the signature is pydantic-settings'
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,  # noqa: ARG003
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Take only what `load` merged: its layers know line numbers, which these sources do not."""
        return (init_settings,)

    @property
    def state_dir(self) -> Path:
        """Where journal, bars and reports live."""
        return places.state_dir(self.store.dir, self.runtime.name)

    @property
    def control_socket(self) -> Path:
        return places.control_socket(self.runtime.control_socket, self.state_dir)

    @property
    def kill_file(self) -> Path:
        return self.risk.kill_file or self.state_dir / "KILL"

    def origin(self, key: str) -> str:
        """Where the value of `risk.max_drawdown` was given: `klined.toml:9`, `$KLINED_...`, or `default`."""
        return self._origins.get(key, "default")

    def remember_origins(self, origins: dict[str, str]) -> None:
        """Where each value was given, by dotted key; told once, by `load`."""
        self._origins.update(origins)
