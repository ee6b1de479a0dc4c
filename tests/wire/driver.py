"""`klined run` against `klined sandbox`: two real processes, one wire, and what the exchange's own ledger says after.

    async with exchange(folder, speed=60) as there, daemon(folder, there, market="spot") as here:
        await here.told("order.filled")
        await there.arm("lost_answer")
        ...
        assert await here.stop() == 0
    assert_agree(here, await there.truth())

Nothing is slept for: whoever waits is woken by a line of the daemon's log, and looks at the exchange again.
"""

import asyncio
import contextlib
import json
import os
import signal
import sqlite3
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, closing
from decimal import Decimal
from pathlib import Path
from typing import Any

import aiohttp

from tiers.ledgers import findings

SPEED = 60
LOOK_S = 0.1  # how long a claim about the exchange waits for a line of the log before it is looked at again
WAIT_S = 60.0
EQUITY = Decimal(10_000)
SYMBOLS = {"spot": "ETH/USDT", "perp": "ETH/USDT:USDT"}
STREAMS = {"spot": ("/stream", "/ws-api/v3"), "perp": ("/market/stream", "/private/ws")}
KEYS = {"KLINED_EXCHANGE__API_KEY": "sandbox-key", "KLINED_EXCHANGE__API_SECRET": "sandbox-secret"}
RISK = {
    "max_exposure": 0.5, "max_trades_hour": 10_000, "max_trades_day": 100_000, "max_turnover_day": 10_000,
    "max_fees_day": 0.99, "max_day_loss": 0.9, "max_week_loss": 0.9, "max_drawdown": 0.95, "reduce_drawdown": 0.7,
    "max_losses": 1000, "max_bar_age_s": 50, "cooldown_minutes": 0, "max_gross": 1.5, "max_orders_minute": 1000,
}  # fmt: skip
"""No limit but the exposure ends a test early; bars of a busy machine are minutes old by the market's clock."""


class Process:
    """A process of klined and everything it says."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process
        self.said: list[dict[str, Any]] = []
        self.raw: list[str] = []
        self._news = asyncio.Condition()
        self._reading = asyncio.create_task(self._read())

    @property
    def pid(self) -> int:
        return self.process.pid

    async def _read(self) -> None:
        assert self.process.stderr is not None
        async for line in self.process.stderr:
            text = line.decode()
            self.raw.append(text)
            with contextlib.suppress(ValueError):
                self.said.append(json.loads(text))
            async with self._news:
                self._news.notify_all()
        async with self._news:
            self._news.notify_all()

    def count(self, event: str) -> int:
        return sum(line.get("event") == event for line in self.said)

    async def told(self, event: str, times: int = 1, *, after: int = 0, seconds: float = WAIT_S) -> dict[str, Any]:
        """The `times`-th line with that event after so many of them."""
        wanted = after + times

        async def there() -> bool:
            return self.count(event) >= wanted

        await self.until(there, f"{event} for the {wanted}th time", seconds=seconds)
        return [line for line in self.said if line.get("event") == event][wanted - 1]

    async def until(self, claim: Callable[[], Awaitable[bool]], what: str, *, seconds: float = WAIT_S) -> None:
        """Look at `claim` with every line of the log, and now and then without."""
        try:
            async with asyncio.timeout(seconds):
                while not await claim():
                    if self.process.returncode is not None and self._reading.done():
                        raise AssertionError(f"ended with {self.process.returncode} before {what}:\n{self.tail()}")
                    with contextlib.suppress(TimeoutError):
                        async with asyncio.timeout(LOOK_S), self._news:
                            await self._news.wait()
        except TimeoutError:
            raise AssertionError(f"no {what} within {seconds:g} s:\n{self.tail()}") from None

    def tail(self, lines: int = 25) -> str:
        return "".join(self.raw[-lines:])

    async def lives(self, seconds: float) -> bool:
        """Let it go on for so long; whether it still runs."""
        try:
            async with asyncio.timeout(seconds):
                await self.process.wait()
        except TimeoutError:
            return True
        return False

    async def kill(self) -> None:
        if self.process.returncode is None:
            self.process.kill()
        await self.process.wait()
        await self._reading

    async def stop(self, number: signal.Signals = signal.SIGTERM, *, seconds: float = WAIT_S) -> int:
        """Ask it to stop; its exit code."""
        self.process.send_signal(number)
        try:
            async with asyncio.timeout(seconds):
                code = await self.process.wait()
                await self._reading
        except TimeoutError:
            raise AssertionError(f"not stopped within {seconds:g} s:\n{self.tail(40)}") from None
        return code


class Exchange:
    """A sandbox process, its control and its truth."""

    def __init__(self, process: Process, http: aiohttp.ClientSession, port: int, speed: float) -> None:
        self.process, self.speed, self._http, self.port = process, speed, http, port
        self.base = f"http://127.0.0.1:{port}"

    async def arm(self, kind: str, **about: Any) -> None:
        await self._post("faults", {"kind": kind, **about})

    async def arm_all(self, faults: Sequence[Mapping[str, Any]]) -> None:
        await self._post("faults", list(faults))

    async def disarm(self) -> None:
        async with self._http.delete(f"{self.base}/sandbox/faults") as answer:
            assert answer.status == 200

    async def shock(self, symbol: str, factor: float) -> None:
        await self._post("shock", {"symbol": symbol, "factor": factor})

    async def transfer(self, market: str, asset: str, amount: str) -> None:
        await self._post("transfer", {"market": market, "asset": asset, "amount": amount})

    async def fired(self, kind: str = "") -> int:
        """How many faults have fired so far."""
        told = await self._get("faults")
        return sum(fired["kind"] == kind or not kind for fired in told["fired"])

    async def now_ms(self) -> int:
        return int((await self._get("clock"))["now"])

    async def truth(self) -> Any:
        return await self._get("ledger")

    async def orders(self, market: str) -> int:
        return len((await self.truth())[market]["orders"])

    async def _get(self, name: str) -> Any:
        async with self._http.get(f"{self.base}/sandbox/{name}") as answer:
            return await answer.json()

    async def _post(self, name: str, body: Any) -> None:
        async with self._http.post(f"{self.base}/sandbox/{name}", json=body) as answer:
            assert answer.status == 200, await answer.text()


class Daemon(Process):
    """`klined run` on one of the sandbox's markets."""

    def __init__(self, process: asyncio.subprocess.Process, state: Path, market: str) -> None:
        super().__init__(process)
        self.state, self.market = state, market

    @property
    def journal(self) -> Path:
        return self.state / "journal.db"


@asynccontextmanager
async def exchange(folder: Path, *, speed: float = SPEED, **settings: Any) -> AsyncIterator[Exchange]:
    """A sandbox with USDT alone in its accounts, on a free port."""
    told = {"speed": speed, "step_ms": 20, "history": 800, "port": 0, **settings}
    text = "".join(f"{name} = {json.dumps(value)}\n" for name, value in told.items())
    (folder / "sandbox.toml").write_text(f'{text}[balances]\nUSDT = "{EQUITY}"\n[wallets]\nUSDT = "{EQUITY}"\n')
    process = await _spawn("sandbox", str(folder / "sandbox.toml"), "--json", stdout=asyncio.subprocess.PIPE)
    assert process.stdout is not None
    async with aiohttp.ClientSession() as http:
        running = Process(process)
        try:
            async with asyncio.timeout(WAIT_S):
                line = await process.stdout.readline()
            assert line, running.tail()
            yield Exchange(running, http, json.loads(line)["port"], speed)
        finally:
            await running.kill()


@asynccontextmanager
async def daemon(
    folder: Path,
    there: Exchange,
    *,
    market: str = "spot",
    symbols: Sequence[str] = (),
    options: Mapping[str, Any] | None = None,
    **sets: Any,
) -> AsyncIterator[Daemon]:
    """A daemon that trades every few bars; killed when the block ends, if it still runs. Not yet ready."""
    here = await launch(folder, there, market=market, symbols=symbols, options=options, **sets)
    try:
        yield here
    finally:
        await here.kill()


async def launch(
    folder: Path,
    there: Exchange,
    *,
    market: str = "spot",
    symbols: Sequence[str] = (),
    options: Mapping[str, Any] | None = None,
    **sets: Any,
) -> Daemon:
    """As `daemon`, for whoever ends it himself. `sets` are settings as section__setting."""
    words = words_for(folder, there, market=market, symbols=symbols, options=options, **sets)
    return Daemon(await _spawn(*words, "run"), folder / "state", market)


async def checked(folder: Path, there: Exchange, **sets: Any) -> tuple[int, str]:
    """Exit code and words of `klined check --online` with the settings of `launch`."""
    process = await _spawn(*words_for(folder, there, **sets), "check", "--online", stdout=asyncio.subprocess.PIPE)
    async with asyncio.timeout(WAIT_S):
        told, _ = await process.communicate()
    assert process.returncode is not None
    return process.returncode, told.decode()


def words_for(
    folder: Path,
    there: Exchange,
    *,
    market: str = "spot",
    symbols: Sequence[str] = (),
    options: Mapping[str, Any] | None = None,
    **sets: Any,
) -> list[str]:
    """The words after `klined` that let it trade there."""
    stream, user = STREAMS[market]
    names = list(symbols or [SYMBOLS[market]])
    ws = there.base.replace("http", "ws")
    told: dict[str, Any] = {
        "market.exchange": "binance", "market.kind": market, "market.symbols": ",".join(names),
        "market.stream_url": ws + stream, "market.rest_url": there.base, "market.grace_ms": 20_000,
        "exchange.rest_url": there.base, "exchange.user_stream_url": ws + user, "exchange.speed": there.speed,
        "exchange.reconcile_s": 300, "mode.paper": "false", "policy.name": "momentum",
        "runtime.flatten_deadline_s": 3600, "log.format": "json", "store.dir": folder / "state",
        **{f"risk.{name}": value for name, value in RISK.items()},
        **{name.replace("__", "."): value for name, value in sets.items()},
    }  # fmt: skip
    words = [word for name, value in told.items() for word in ("--set", f"{name}={value}")]
    choice = {"enter": 0.05, **(options or {})}
    (folder / "klined.toml").write_text("[policy.options]\n" + "".join(f"{k} = {v}\n" for k, v in choice.items()))
    return ["-c", str(folder / "klined.toml"), *words]


async def _spawn(*words: str, stdout: int = asyncio.subprocess.DEVNULL) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        sys.executable, "-m", "klined.cli.main", *words,
        stdout=stdout, stderr=asyncio.subprocess.PIPE, env={**os.environ, **KEYS}, limit=1 << 20,
    )  # fmt: skip


def assert_agree(here: Daemon, truth: Any, *, exposure: float = RISK["max_exposure"]) -> None:
    """The journal and the exchange's ledger tell the same story, the account is flat and never held too much."""
    found = findings(here.journal, truth, here.market)
    found += too_much(truth[here.market], exposure)
    assert not found, "\n".join([*found[:20], here.tail()])


def too_much(side: Any, exposure: float, *, slack: float = 1.15) -> list[str]:
    """Positions that were larger than the limit; `slack` is for prices that moved since the order was sized."""
    held: dict[str, Decimal] = {}
    found = []
    for trade in sorted(side["trades"], key=lambda each: int(each["number"])):
        symbol, price = trade["symbol"], Decimal(trade["price"])
        held[symbol] = held.get(symbol, Decimal(0)) + Decimal(trade["quantity"]) * (1 if trade["buy"] else -1)
        worth = abs(held[symbol]) * price
        if worth > EQUITY * Decimal(repr(exposure * slack)):
            found.append(f"{symbol} {held[symbol]} worth {worth:.0f} after trade {trade['number']}")
    return found


def fills_of(here: Daemon) -> int:
    with closing(sqlite3.connect(f"file:{here.journal}?mode=ro", uri=True)) as link:
        count: int = link.execute("SELECT count(*) FROM fills").fetchone()[0]
        return count


async def traded_again(here: Daemon, there: Exchange, orders: int = 2) -> None:
    """So many more orders at the exchange, and a fill that the daemon knows of: trading has resumed."""
    before, fills = await there.orders(here.market), here.count("order.filled")

    async def there_are() -> bool:
        return await there.orders(here.market) >= before + orders and here.count("order.filled") > fills

    await here.until(there_are, f"{orders} more orders", seconds=120)
