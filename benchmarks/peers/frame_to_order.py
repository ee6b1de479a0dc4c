"""Two bots that keep nothing: `frame_to_order.py echo|naive WS HTTP`, until they are killed.

echo   every frame is answered by the same bytes over a kept connection: what the transport alone takes (uvloop)
naive  json, a comparison, ccxt's `create_order`: what a page of Python does; its throttle is off
"""

import asyncio
import json
import sys

from websockets.asyncio.client import connect


async def echo(ws: str, http: str) -> None:
    host, _, port = http.removeprefix("http://").partition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    async with connect(ws) as link:
        async for _ in link:
            writer.write(b"POST /echo HTTP/1.1\r\nHost: exchange\r\nContent-Length: 0\r\n\r\n")
            await reader.readuntil(b"{}")


async def naive(ws: str, http: str) -> None:
    import ccxt.async_support as ccxt

    options = {"fetchMarkets": ["spot"], "fetchCurrencies": False, "fetchMargins": False}
    exchange = ccxt.binance(
        {"apiKey": "sandbox-key", "secret": "sandbox-secret", "options": options, "enableRateLimit": False}
    )
    for name in ("public", "private"):
        exchange.urls["api"][name] = f"{http}/api/v3"
    await exchange.load_markets()
    async with connect(ws) as link:
        async for frame in link:
            kline = json.loads(frame)["data"]["k"]
            if kline["x"]:
                side = "buy" if float(kline["c"]) > float(kline["o"]) else "sell"
                await exchange.create_order("S00/USDT", "market", side, 0.1)


if __name__ == "__main__":
    which, *where = sys.argv[1:]
    if which == "echo":
        import uvloop

        uvloop.run(echo(*where))
    else:
        asyncio.run(naive(*where))
