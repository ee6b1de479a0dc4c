"""The exchange's own ledger against the journal: the same trades, no order twice, nothing left, the same money.

A finding is a sentence; none is what every tier wants.
"""

import json
import sqlite3
from collections import Counter
from collections.abc import Mapping
from contextlib import closing
from decimal import Decimal
from pathlib import Path
from typing import Any

Json = Mapping[str, Any]


def findings(journal: Path, ledger: Json, market: str, *, flat: bool = True) -> list[str]:
    """What contradicts the promise; `market` is spot or perp, `ledger` the answer of /sandbox/ledger."""
    side = ledger[market]
    with closing(sqlite3.connect(journal)) as link:
        assert link.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        fills = link.execute("SELECT trade_id, client_id, quantity, price, fee, fee_asset FROM fills").fetchall()
        intents = dict(link.execute("SELECT client_id, quantity FROM intents").fetchall())
        open_orders = [row[0] for row in link.execute("SELECT client_id FROM orders WHERE open").fetchall()]
    ours = sorted((str(i), name, Decimal(q), Decimal(p), Decimal(f), a) for i, name, q, p, f, a in fills)
    theirs = exchange_trades(side)
    found = [f"only the journal has {trade}" for trade in ours if trade not in theirs]
    found += [f"only the exchange has {trade}" for trade in theirs if trade not in ours]
    names = Counter(order["client_id"] for order in side["orders"])
    found += [f"{name} was executed {count} times" for name, count in names.items() if count > 1]
    found += [
        f"{name} was never intended" for name in names if name not in intents and not name.startswith("autoclose")
    ]
    for order in side["orders"]:
        wanted = abs(Decimal(intents.get(order["client_id"], "0")))
        if Decimal(order["filled"]) > wanted:
            found.append(f"{order['client_id']} filled {order['filled']} of {wanted}")
    found += [f"{name} is still open in the journal" for name in open_orders]
    found += [f"{order['client_id']} is still open" for order in side["orders"] if order["open"]]
    return found + (not_flat(side, market) if flat else []) + money(side, market)


def exchange_trades(side: Json) -> list[tuple[str, str, Decimal, Decimal, Decimal, str]]:
    """Trades as the journal words them."""
    names = {order["number"]: order["client_id"] for order in side["orders"]}
    return sorted(
        (
            str(trade["number"]),
            names[trade["order"]],
            Decimal(trade["quantity"]) * (1 if trade["buy"] else -1),
            Decimal(trade["price"]),
            Decimal(trade["fee"]),
            trade["fee_asset"],
        )
        for trade in side["trades"]
    )


def not_flat(side: Json, market: str) -> list[str]:
    """What is left, worth more than the least order."""
    if market == "perp":
        return [f"{name} {held['amount']}" for name, held in side["positions"].items() if Decimal(held["amount"])]
    worth = {
        asset: (Decimal(held["free"]) + Decimal(held["locked"])) * Decimal(side["prices"].get(f"{asset}USDT", "0"))
        for asset, held in side["balances"].items()
    }
    return [f"{asset} worth {value}" for asset, value in worth.items() if value >= Decimal(5)]


def money(side: Json, market: str, began: Decimal = Decimal(10_000)) -> list[str]:
    """Whether the exchange's own wallet is what its trades come to: profit, less fees and funding."""
    if market == "perp":
        moved = sum((Decimal(entry["amount"]) for entry in map(dict, side["income"])), Decimal(0))
        held = Decimal(side["wallets"]["USDT"])
        return [] if held == began + moved else [f"the wallet has {held}, its history says {began + moved}"]
    moved = sum(
        (Decimal(t["quantity"]) * Decimal(t["price"]) * (-1 if t["buy"] else 1) for t in side["trades"]), Decimal(0)
    )
    moved -= sum((Decimal(t["fee"]) for t in side["trades"] if t["fee_asset"] == "USDT"), Decimal(0))
    held = Decimal(side["balances"]["USDT"]["free"])
    return [] if held == began + moved else [f"the account has {held}, its history says {began + moved}"]


def told(path: Path) -> Counter[str]:
    """How often each event stands in the journal."""
    with closing(sqlite3.connect(path)) as link:
        return Counter(dict(link.execute("SELECT name, count(*) FROM events GROUP BY name").fetchall()))


def decided(path: Path) -> int:
    with closing(sqlite3.connect(path)) as link:
        bars, symbols = link.execute(
            "SELECT count(DISTINCT bar_time_ms), count(DISTINCT symbol) FROM decisions"
        ).fetchone()
        once = link.execute("SELECT count(*) = count(DISTINCT bar_time_ms || symbol) FROM decisions").fetchone()[0]
    assert once, "a bar was decided twice"
    assert symbols
    return int(bars)


def as_json(raw: bytes) -> Any:
    return json.loads(raw)
