"""Paper trading: the in-process exchange behind the Venue port. A shell; all that it does is `klined.world`.

Nothing here waits or fails: answers are immediate and certain. Its ledger travels through `dump` into the journal's own
transactions, so that a killed daemon finds orders, fills and money as the exchange last had them.
"""

import asyncio
from collections.abc import Mapping, Sequence
from decimal import Decimal

from klined.domain import Account, Batch, Instrument, Intent, News, OrderNews
from klined.errors import ConfigError
from klined.world.exchange import Exchange, Rates
from klined.world.matching import Friction


class PaperVenue:
    """Paper money at an exchange over `instruments`, in the order in which batches carry their bars.

    `balances` is what the account starts with, per asset; `funding` the rates of perpetuals, none when absent.

    Raises:
        ConfigError: spot and perpetuals, or several quote assets, on one account.
    """

    name = "paper"
    in_process = True

    def __init__(
        self,
        instruments: Sequence[Instrument],
        balances: Mapping[str, Decimal],
        *,
        friction: Friction | None = None,
        leverage: Decimal = Decimal(20),
        funding: Rates | None = None,
    ) -> None:
        self.exchange = Exchange(instruments, balances, friction=friction, leverage=leverage, funding=funding)

    async def instruments(self, symbols: Sequence[str]) -> dict[str, Instrument]:
        """The instruments of `symbols`.

        Raises:
            ConfigError: the account was opened without one of them.
        """
        missing = [symbol for symbol in symbols if symbol not in self.exchange.instruments]
        if missing:
            raise ConfigError(f"the paper exchange does not list {', '.join(missing)}; add them to market.symbols")
        return {symbol: self.exchange.instruments[symbol] for symbol in symbols}

    async def account(self) -> Account:
        return self.exchange.account()

    async def submit(self, intent: Intent) -> Sequence[OrderNews]:
        return self.exchange.submit(intent)

    async def cancel(self, client_id: str, symbol: str) -> Sequence[OrderNews]:  # noqa: ARG002 - ids are unique here
        return self.exchange.cancel(client_id)

    async def query(self, client_id: str, symbol: str) -> Sequence[OrderNews]:  # noqa: ARG002 - ids are unique here
        return self.exchange.query(client_id)

    def on_batch(self, batch: Batch) -> Sequence[News]:
        return self.exchange.on_batch(batch)

    async def news(self) -> Sequence[News]:
        """Never returns: all that happens is answered by `submit` or `on_batch`."""
        await asyncio.Event().wait()
        return ()

    def dump(self) -> Sequence[tuple[str, bytes]]:
        return self.exchange.dump()

    def load(self, rows: Sequence[tuple[str, bytes]]) -> None:
        self.exchange.load(rows)

    async def close(self) -> None:
        """Nothing to close."""
