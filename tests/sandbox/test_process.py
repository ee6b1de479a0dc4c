"""The real process: the command line, kill -9 under load, and no secret in what it prints."""

import asyncio
import hashlib
import hmac
import json
import signal
import sys
import time
from pathlib import Path
from typing import Any

import aiohttp

from klined.sandbox.settings import DEMO_SECRET


async def started(*options: str) -> tuple[asyncio.subprocess.Process, dict[str, Any]]:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "klined.cli.main", "sandbox", "--port", "0", "--json", *options,
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    assert process.stdout is not None
    async with asyncio.timeout(30):
        return process, json.loads(await process.stdout.readline())


class Client:
    """A signed market order, and the truth."""

    def __init__(self, http: aiohttp.ClientSession, base: str) -> None:
        self.http, self.base = http, base

    async def buy(self, client_id: str) -> Any:
        text = f"symbol=ETHUSDT&side=BUY&type=MARKET&quantity=0.003&newClientOrderId={client_id}"
        text += f"&timestamp={time.time_ns() // 1_000_000}"
        signature = hmac.new(DEMO_SECRET.encode(), text.encode(), hashlib.sha256).hexdigest()
        url = f"{self.base}/api/v3/order?{text}&signature={signature}"
        async with self.http.post(url, headers={"X-MBX-APIKEY": "sandbox-key"}) as answer:
            return await answer.json()

    async def truth(self) -> Any:
        async with self.http.get(f"{self.base}/sandbox/ledger") as answer:
            return await answer.json()


async def test_a_killed_sandbox_loses_nothing_that_it_answered(tmp_path: Path) -> None:
    answered: list[str] = []
    for life in range(3):
        process, told = await started("--state", str(tmp_path))
        async with aiohttp.ClientSession() as http:
            client = Client(http, told["rest"])
            known = {order["client_id"] for order in (await client.truth())["spot"]["orders"]}
            assert set(answered) <= known
            for number in range(12):
                answer = await client.buy(f"{life}-{number}")
                assert answer["status"] == "FILLED", answer
                answered.append(answer["clientOrderId"])
            under_way = asyncio.ensure_future(client.buy(f"{life}-last"))
            await asyncio.sleep(0)
            process.kill()
            await process.wait()
            await asyncio.gather(under_way, return_exceptions=True)
    process, told = await started("--state", str(tmp_path))
    async with aiohttp.ClientSession() as http:
        truth = (await Client(http, told["rest"]).truth())["spot"]
        ids = [order["client_id"] for order in truth["orders"]]
        assert set(answered) <= set(ids)
        assert len(ids) == len(set(ids))
        fees = sum(float(trade["fee"]) for trade in truth["trades"])
        bought = sum(float(trade["quantity"]) for trade in truth["trades"])
        held = truth["balances"]["ETH"]
        assert abs(float(held["free"]) - (1 + bought - fees)) < 1e-9
    process.send_signal(signal.SIGTERM)
    output, errors = await process.communicate()
    assert process.returncode == 0
    assert DEMO_SECRET.encode() not in output + errors


async def test_a_taken_port_is_one_sentence(tmp_path: Path) -> None:
    process, told = await started()
    other = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "klined.cli.main", "sandbox", "--port", str(told["port"]), "--state", str(tmp_path),
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    _, errors = await other.communicate()
    assert other.returncode == 2
    assert errors.decode().startswith(f"klined: cannot listen on 127.0.0.1:{told['port']}")
    assert errors.count(b"\n") == 1
    process.send_signal(signal.SIGINT)
    assert await process.wait() == 0
