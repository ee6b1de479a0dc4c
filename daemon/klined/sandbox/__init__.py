"""An exchange on loopback that speaks Binance's protocols, so that unmodified clients can rehearse on it.

    HTTP  ─▶ rest ──┐                             ┌─▶ spot_*, futures_*  ─▶ world.spot, world.perpetual   (pure)
    wss   ─▶ wsapi ─┴─▶ gate: ban, weight, key,   │
    wss   ─▶ channels    signature, timestamp     ├─▶ users: executionReport, ORDER_TRADE_UPDATE, ...
                                                  └─▶ store: what changed, in one transaction, before the answer
    time  ─▶ exchange.step ─▶ market ─▶ venues.move ─▶ broadcast: klines, trades, books

faults says what goes wrong on purpose, control is how to ask for it, ledger is the truth for tests.
"""
