"""The edge of the exchange: that every fault of the catalogue has a test, and the few that stand nowhere else."""

import json
import re
from pathlib import Path

from websockets.asyncio.server import ServerConnection

from feeds.test_binance import MINUTE_MS, START, Exchange, bar, following, opens, trading
from klined.domain import Purpose
from klined.feeds.frames import frame_of

ROOT = Path(__file__).parents[2]
ROW = re.compile(r"^\| ([0-9]+) \|.*`([a-z_/]+\.py)::(test_[a-z0-9_]+)` \|$", re.MULTILINE)
CATALOGUE = 48


def untested(text: str) -> list[str]:
    """What the table of faults lacks: a number of the catalogue, or a test that exists."""
    rows = ROW.findall(text)
    numbers = [int(number) for number, _, _ in rows]
    found = [f"fault {number} has no row" for number in range(1, CATALOGUE + 1) if number not in numbers]
    found += [f"fault {number} stands there twice" for number in set(numbers) if numbers.count(number) > 1]
    for number, file, name in rows:
        path = ROOT / "tests" / file
        if not path.is_file() or not re.search(rf"^(async )?def {name}\(", path.read_text(), re.MULTILINE):
            found.append(f"fault {number}: there is no {file}::{name}")
    return found


def test_every_fault_of_the_catalogue_has_a_test_that_exists() -> None:
    text = (ROOT / "docs" / "faults.md").read_text()
    assert untested(text) == []
    planted = text.replace("| 13 |", "| 130 |").replace("::test_zero_volume_bar_is_a_bar", "::test_no_such_test")
    assert len(untested(planted)) == 2


async def test_close_that_comes_after_the_next_bars_first_update_is_used_once() -> None:
    async def script(link: ServerConnection, number: int) -> None:
        exchange.minute = START + 1
        late = frame_of(bar(START), MINUTE_MS).decode()
        first = json.loads(frame_of(bar(START + 1), MINUTE_MS))
        first["data"]["k"]["x"] = False
        await link.send(json.dumps(first))
        await link.send(late)
        await link.send(late)
        exchange.minute = START + 2
        await link.send(frame_of(bar(START + 1), MINUTE_MS).decode())
        await link.wait_closed()
        del number

    exchange = Exchange(("ETH/USDT",), script)
    async with trading(exchange) as feed:
        assert opens(await following(feed, 2)) == [(0, Purpose.TRADE), (1, Purpose.TRADE)]


async def test_subscription_that_is_refused_leads_to_a_new_connection() -> None:
    async def script(link: ServerConnection, number: int) -> None:
        if number == 1:
            await link.send('{"error":{"code":2,"msg":"Invalid request"},"id":1}')
        else:
            exchange.minute = START + 1
            await link.send(frame_of(bar(START), MINUTE_MS).decode())
        await link.wait_closed()

    exchange = Exchange(("ETH/USDT",), script)
    async with trading(exchange) as feed:
        assert opens(await following(feed, 1)) == [(0, Purpose.TRADE)]
    assert exchange.connections == 2
