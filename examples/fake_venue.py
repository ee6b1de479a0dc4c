"""Drive a venue by hand, with the fakes that klined offers to authors of plugins: send, lose an answer, ask.

python examples/fake_venue.py
"""

import asyncio
from decimal import Decimal

from klined.domain import Doubted, Intent
from klined.testing import RecordingVenue, ScriptedFeed, closes, instrument

SYMBOL = "ETH/USDT"


async def trade() -> None:
    venue = RecordingVenue([instrument(SYMBOL)])
    feed = ScriptedFeed(closes(SYMBOL, [2000.0, 2010.0, 1995.0]))
    number = 0
    while batch := await feed.next():
        venue.on_batch(batch)
        number += 1
        intent = Intent(
            client_id=f"example-{number}", symbol=SYMBOL, quantity=Decimal("0.5"), bar_time_ms=batch.close_time_ms
        )
        if number == 2:
            venue.answer(Doubted(intent.client_id, "time-out"))
        for news in await venue.submit(intent):
            print(f"{intent.client_id}  {type(news).__name__}")
    account = await venue.account()
    print(f"sent {len(venue.sent)}, holds {account.positions[0].quantity}, USDT {account.balances['USDT']:.2f}")


if __name__ == "__main__":
    asyncio.run(trade())
