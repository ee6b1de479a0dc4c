"""The real daemon and the real sandbox as processes of their own, with a bad network between, and clocks that run.

    Life (klined run) ─▶ Proxy (in the test) ─▶ Exchange (klined sandbox)        all clocks SPEED times faster

Both keep their state on disk, so both may be killed and started again.
"""

import asyncio
import json
import signal
import sys
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Self

import aiohttp

from tiers.proxy import Proxy, proxied

SPEED = 30.0
CANARY_KEY, CANARY_SECRET = "CANARYkeyProcess5b", "CANARYsecretProcess8e"
HURRIED = Path(__file__).with_name("hurried.py")
PATIENCE_S = 60.0
SYMBOLS = {"spot": "ETH/USDT", "perp": "ETH/USDT:USDT"}
PLUGIN = """
[klined.policies]
whim = tiers.whim:Whim
"""


class Process:
    """A process of klined whose lines are read as they come."""

    def __init__(self, words: Sequence[str], environ: Mapping[str, str], origin_ns: int, log: Path) -> None:
        self._command = [sys.executable, str(HURRIED), str(SPEED), str(origin_ns), *words]
        self._environ, self._log = environ, log
        self.lines: list[str] = []
        self._read = 0
        self._more = asyncio.Event()
        self._process: asyncio.subprocess.Process | None = None
        self._readers: list[asyncio.Task[None]] = []

    async def start(self) -> Self:
        self._process = await asyncio.create_subprocess_exec(
            *self._command, env=self._environ, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
        )
        assert self._process.stdout is not None
        assert self._process.stderr is not None
        self._readers = [
            asyncio.create_task(self._listen(pipe)) for pipe in (self._process.stdout, self._process.stderr)
        ]
        return self

    async def _listen(self, pipe: asyncio.StreamReader) -> None:
        with self._log.open("ab") as file:
            async for line in pipe:
                file.write(line)
                file.flush()
                self.lines.append(line.decode())
                self._more.set()
        self._more.set()

    async def wait_for(self, text: str, times: int = 1) -> str:
        """The line with `text` for the `times`-th time from the last one that was waited for."""
        async with asyncio.timeout(PATIENCE_S):
            while True:
                while self._read < len(self.lines):
                    line = self.lines[self._read]
                    self._read += 1
                    times -= text in line
                    if not times:
                        return line
                assert not self.ended, f"it ended before {text!r}: {''.join(self.lines[-8:])}"
                self._more.clear()
                await self._more.wait()

    async def wait_event(self, name: str, times: int = 1) -> dict[str, Any]:
        told: dict[str, Any] = json.loads(await self.wait_for(f'"event": "{name}"', times))
        return told

    @property
    def ended(self) -> bool:
        return all(reader.done() for reader in self._readers)

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def signal(self, number: signal.Signals) -> None:
        if self._process is not None and self._process.returncode is None:
            self._process.send_signal(number)

    async def end(self) -> int:
        """Wait for the end; the exit code."""
        assert self._process is not None
        async with asyncio.timeout(PATIENCE_S):
            await asyncio.gather(*self._readers)
            return await self._process.wait()

    async def lives_on(self, seconds: float) -> bool:
        """Whether it is still there after that time."""
        assert self._process is not None
        try:
            async with asyncio.timeout(seconds):
                await self._process.wait()
        except TimeoutError:
            return True
        return False

    async def stop(self) -> int:
        self.signal(signal.SIGTERM)
        return await self.end()

    async def kill(self) -> None:
        self.signal(signal.SIGKILL)
        await self.end()


class Town:
    """One exchange, one network, one state directory; daemons and sandboxes come and go."""

    def __init__(self, folder: Path, market: str, environ: Mapping[str, str]) -> None:
        self.folder, self.market = folder, market
        self.state = folder / "state"
        self.log = folder / "log"
        self.origin_ns = time.time_ns()
        self.port = 0
        self.proxy: Proxy
        self.exchange: Process
        self._environ = {
            **environ,
            "KLINED_EXCHANGE__API_KEY": CANARY_KEY,
            "KLINED_EXCHANGE__API_SECRET": CANARY_SECRET,
        }
        self._processes: list[Process] = []
        self.lines: list[str] = []
        self._http: aiohttp.ClientSession

    async def open_exchange(self) -> None:
        """Start the sandbox, or start it again where it was."""
        words = ["sandbox", str(self.folder / "sandbox.toml"), "--port", str(self.port), "--json"]
        self.exchange = await self._start([*words, "--state", str(self.folder / "exchange")])
        self.port = json.loads(await self.exchange.wait_for('"port"'))["port"]

    async def daemon(self, *sets: str, state: Path | None = None, words: Sequence[str] = ("run",)) -> Process:
        command = ["-c", str(self.folder / "klined.toml"), "--state", str(state or self.state)]
        for each in sets:
            command += ["--set", each]
        return await self._start([*command, *words])

    async def klined(self, *words: str) -> str:
        """What another command says about the daemon."""
        process = await self._start(["--state", str(self.state), *words])
        await process.end()
        return "".join(process.lines)

    async def _start(self, words: Sequence[str]) -> Process:
        process = Process(words, self._environ, self.origin_ns, self.log)
        self._processes.append(process)
        return await process.start()

    async def truth(self) -> Any:
        async with self._http.get(f"http://127.0.0.1:{self.port}/sandbox/ledger") as answer:
            return await answer.json()

    async def arm(self, *faults: Mapping[str, object]) -> None:
        async with self._http.post(f"http://127.0.0.1:{self.port}/sandbox/faults", json=list(faults)) as answer:
            assert answer.status == 200, await answer.text()

    async def fired(self) -> Any:
        async with self._http.get(f"http://127.0.0.1:{self.port}/sandbox/faults") as answer:
            return await answer.json()

    async def close(self) -> None:
        for process in self._processes:
            process.signal(signal.SIGCONT)
            await process.kill()

    def configure(self) -> None:
        spot, symbol = self.market == "spot", SYMBOLS[self.market]
        http, ws = f"http://127.0.0.1:{self.proxy.port}", f"ws://127.0.0.1:{self.proxy.port}"
        (self.folder / "klined.toml").write_text(
            SETTINGS.format(
                market=self.market, symbol=symbol, http=http,
                stream=f"{ws}/stream" if spot else f"{ws}/market/stream",
                user=f"{ws}/ws-api/v3" if spot else f"{ws}/private/ws",
            )
        )  # fmt: skip


@asynccontextmanager
async def town(folder: Path, market: str, environ: Mapping[str, str]) -> AsyncIterator[Town]:
    """An exchange that listens, behind a proxy, and settings for a daemon; nobody is left at the end."""
    plugin = folder / "plugin" / "whim-1.0.dist-info"
    plugin.mkdir(parents=True)
    (plugin / "METADATA").write_text("Metadata-Version: 2.1\nName: whim\nVersion: 1.0\n")
    (plugin / "entry_points.txt").write_text(PLUGIN)
    path = f"{plugin.parent}:{Path(__file__).parents[1]}"
    path += f":{environ.get('PYTHONPATH', '')}"
    place = Town(folder, market, {**environ, "PYTHONPATH": path})
    spot, symbol = market == "spot", SYMBOLS[market]
    names = {"spot": [symbol] if spot else [], "perp": [] if spot else [symbol]}
    (folder / "sandbox.toml").write_text(EXCHANGE.format(**names, key=CANARY_KEY, secret=CANARY_SECRET))
    async with aiohttp.ClientSession() as http:
        place._http = http
        try:
            await place.open_exchange()
            async with proxied(place.port) as place.proxy:
                place.configure()
                yield place
        finally:
            await place.close()


EXCHANGE = """
spot = {spot}
perp = {perp}
history = 800
step_ms = 1000
kline_spot_ms = 4000
kline_perp_ms = 4000
timestamps = "sandbox"
balances = {{ USDT = "10000" }}
[[keys]]
key = "{key}"
secret = "{secret}"
"""
SETTINGS = """
[market]
exchange = "binance"
kind = "{market}"
symbols = ["{symbol}"]
stream_url = "{stream}"
rest_url = "{http}"
[exchange]
rest_url = "{http}"
user_stream_url = "{user}"
[mode]
paper = false
[policy]
name = "whim"
[risk]
max_drawdown = 0.9
max_day_loss = 0.9
max_week_loss = 0.9
max_fees_day = 1.0
max_turnover_day = 10000
max_losses = 1000
max_trades_hour = 10000
max_trades_day = 100000
max_ood = 1e6
max_bar_age_s = 50
[runtime]
uvloop = false
flatten_deadline_s = 900
[log]
level = "debug"
format = "json"
"""
