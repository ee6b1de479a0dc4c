"""Real markets as settings: what is replayed, from which files, on which account.

A world names files below the shared data and the rows of them that are played, which keeps the suite fast; `whole`
is every row, for the long proofs. The limits are wide, so that orders come all along instead of ending at the first
bad day; one world keeps the defaults.
"""

import gzip
from collections.abc import Sequence
from pathlib import Path

from msgspec import Struct
from msgspec.structs import replace

from klined.config.load import load
from klined.config.settings import Settings

WIDE = (
    "risk.max_exposure=0.5",
    "risk.max_change=2",
    "risk.max_day_loss=1",
    "risk.max_week_loss=1",
    "risk.max_drawdown=1",
    "risk.reduce_drawdown=1",
    "risk.max_losses=1000",
    "risk.max_trades_hour=1000",
    "risk.max_trades_day=10000",
    "risk.max_turnover_day=1000",
    "risk.max_fees_day=1",
)
PERP = (*WIDE, "risk.max_leverage=3")
FUNDING = "small/um_funding_BTC_ETH_2025-03_06.csv"
ETH_2025 = "small/ETHUSDT-1m_spot_2025-05_08.csv.gz"
PAIR_2021 = ("small/BTCUSDT-1m_spot_2021-05.csv.gz", "small/ETHUSDT-1m_spot_2021-05.csv.gz")
CRASH = "ohlcv/spot_2021-04-20_05-20"
TWELVE = ("BTC", "ETH", "ADA", "XRP", "DOGE", "LTC", "LINK", "BCH", "DOT", "EOS", "XMR", "ATOM")
HOURLY = "ohlcv/spot_hourly_2017-08_2022-10"


class World(Struct, frozen=True):
    """One replay. `first` and `rows` choose data rows of every file; 0 rows are all that follow."""

    name: str
    files: tuple[str, ...]
    symbols: tuple[str, ...] = ("ETH/USDT",)
    first: int = 0
    rows: int = 0
    kind: str = "spot"
    timeframe: str = "1m"
    more: tuple[str, ...] = WIDE
    fills_min: int = 100  # of the EMA cross
    gap: bool = False  # bars are missing within the rows

    @property
    def whole(self) -> "World":
        return replace(self, first=0, rows=0)

    def overrides(self, data: Path, state: Path, policy: str, more: Sequence[str] = ()) -> list[str]:
        """What tells its replay by `policy` in the state directory `state`, beside which cut files are put."""
        files = [data / name for name in self.files]
        if self.first or self.rows:
            files = [self._cut(path, state.parent / f"{state.name}.cut") for path in files]
        given = {
            "market.feed": "recorded",
            "market.speed": "0",
            "market.files": ",".join(map(str, files)),
            "market.symbols": ",".join(self.symbols),
            "market.kind": self.kind,
            "market.timeframe": self.timeframe,
            "store.dir": str(state),
            "policy.name": policy,
        }
        if self.kind == "perp":
            given["market.funding_file"] = str(data / FUNDING)
        return [*(f"{key}={value}" for key, value in given.items()), *self.more, *more]

    def settings(self, data: Path, state: Path, policy: str, more: Sequence[str] = ()) -> Settings:
        """The settings of its replay; see `overrides`."""
        return load(None, self.overrides(data, state, policy, more), environ={})

    def _cut(self, path: Path, folder: Path) -> Path:
        folder.mkdir(exist_ok=True)
        with gzip.open(path, "rt") as lines:
            head, *body = lines
        end = self.first + self.rows if self.rows else len(body)
        cut = folder / path.name.removesuffix(".gz")
        cut.write_text("".join([head, *body[self.first : end]]))
        return cut


WORLDS = (
    World("eth_2025", (ETH_2025,), rows=20_000),
    World("eth_2025_default_limits", (ETH_2025,), rows=5_000, more=(), fills_min=30),
    World("eth_2021_outage", (PAIR_2021[1],), first=4_000, rows=6_000, gap=True),
    World("eth_2021_crash", (PAIR_2021[1],), first=36_000),
    World("pair_2021", PAIR_2021, ("BTC/USDT", "ETH/USDT"), first=5_000, rows=4_000, gap=True),
    World(
        "eth_perp_2025",
        ("small/ETHUSDT-1m_um_2025-05.csv.gz",),
        ("ETH/USDT:USDT",),
        rows=15_000,
        kind="perp",
        more=PERP,
    ),
    World(
        "btc_2019_gappy",
        ("ohlcv/spot_2019-10-15_11-14_gappy/BTCUSDT-1m.csv.gz",),
        ("BTC/USDT",),
        first=37_000,
        gap=True,
    ),
    World(
        "twelve_2021",
        tuple(f"{CRASH}/{base}USDT-1m.csv.gz" for base in TWELVE),
        tuple(f"{base}/USDT" for base in TWELVE),
        first=5_500,
        rows=1_500,
        gap=True,
    ),
    World("eth_5m_2024", ("ohlcv/spot_5m_2024-01_06/ETHUSDT-5m.csv.gz",), rows=8_000, timeframe="5m"),
    World(
        "hourly_2017",
        (f"{HOURLY}/BTCUSDT-1h.csv.gz", f"{HOURLY}/ETHUSDT-1h.csv.gz"),
        ("BTC/USDT", "ETH/USDT"),
        rows=6_000,
        timeframe="1h",
        gap=True,
    ),
)
NAMES = [world.name for world in WORLDS]
