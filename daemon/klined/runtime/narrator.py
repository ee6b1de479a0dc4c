"""An observer that tells a person what matters: fills, halts, and what was blocked and why, once and not each bar."""

import time
from collections.abc import Callable, Mapping
from pathlib import Path

from klined import __version__
from klined.config.settings import Settings
from klined.domain import Approved, Cause, Decision, Event, Held, Refused

BASE_DIGITS = 6


class Narrator:
    """Prints a line per fill, and one when the reason for not trading changes."""

    def __init__(self, say: Callable[[str], None]) -> None:
        self._say_line = say
        self._started_s = time.monotonic()
        self._blocked: dict[str, str] = {}
        self._targets: dict[str, float] = {}
        self._interval_ms = 0
        self.fills = self.blocks = 0

    def greet(self, settings: Settings, policy: str) -> None:
        """What is about to run, in a few lines."""
        market = settings.market
        self._interval_ms = market.interval_ms
        pace = f"{market.speed:g} bars per second" if market.speed else "as fast as it goes"
        say = self._say_line
        say(f"klined {__version__} · demo: simulated {', '.join(market.symbols)}, paper money, no network, no keys")
        say(f"  data      generated {market.timeframe} bars, seed {market.seed}, {pace}")
        say(f"  policy    {policy}")
        say(f"  state     {settings.state_dir}")
        say("  stop      Ctrl+C: cancels, flattens, writes a report\n")

    def bid_farewell(self, summary: Mapping[str, object], report: Path | None) -> None:
        """What came of it."""
        say = self._say_line
        if not summary:
            say("\n  stopped before the first bar")
            return
        say("")
        say(f"  flat      {'yes' if summary['flat'] else 'NO: ' + str(summary['left'])}")
        say(f"  result    {summary['pnl']:+,.2f} ({summary['return_fraction']:+.2%}) after {summary['fees']:,.2f} fees")
        say(f"  trades    {self.fills} fills, {self.blocks} decisions blocked by the gate")
        say(f"  report    {report}")
        say("  next      klined init      your own settings, a few lines")
        say("            klined run       paper trading with them")

    def observe(self, item: Decision | Event) -> None:
        if isinstance(item, Event):
            self._event(item)
        else:
            self._decision(item)

    def _decision(self, decision: Decision) -> None:
        match decision.verdict:
            case Refused(symbol, reason, detail):
                self.blocks += 1
                if self._blocked.get(symbol) != reason.name:
                    self._blocked[symbol] = reason.name
                    name = f"risk.{reason.name.lower()}"
                    self._say(decision.bar_time_ms + self._interval_ms, "block", f"{symbol}  {name}: {detail}")
            case Approved():
                self._blocked.pop(decision.symbol, None)
                self._targets[decision.symbol] = decision.target
            case Held():
                pass

    def _event(self, event: Event) -> None:
        data = event.data
        if event.name == "order.filled":
            self.fills += 1
            quantity = float(str(data["quantity"]))
            symbol = str(data["symbol"])
            side = "BUY " if quantity > 0 else "SELL"
            why = str(data["cause"])
            if why == Cause.POLICY:
                why = f"target {self._targets.get(symbol, 0.0):+.2f}"
            price, equity = float(str(data["price"])), data.get("equity")
            worth = f"   equity {float(equity):,.2f}" if isinstance(equity, float) else ""
            amount = f"{abs(quantity):.{BASE_DIGITS}g} {symbol.partition('/')[0]}"
            self._say(event.time_ms, "fill", f"{side} {amount} @ {price:,.2f}   {why:<12}{worth}")
        elif event.level in {"warning", "error"}:
            told = "  ".join(f"{key}={value}" for key, value in data.items())
            self._say(event.time_ms, event.level, f"{event.name}  {told}")

    def _say(self, time_ms: int, kind: str, text: str) -> None:
        moment = time.strftime("%H:%M", time.gmtime(time_ms / 1000))
        self._say_line(f" {moment} {kind:<5} {text}")
