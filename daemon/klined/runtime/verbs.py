"""What the control socket answers: status, why, pause, resume, flatten, reload, dump."""

import time
from collections import deque
from collections.abc import Mapping
from math import isnan
from typing import Any

from klined import __version__
from klined.domain import Approved, Decision, Event, Held
from klined.errors import NotFlat, Rejected
from klined.kernels import layout as at
from klined.runtime.control import Verb
from klined.runtime.daemon import Daemon
from klined.runtime.reload import Reload

RECENT_MAX = 500


class Recent:
    """An observer that remembers the newest decisions, for `klined why`."""

    def __init__(self) -> None:
        self.decisions: deque[Decision] = deque(maxlen=RECENT_MAX)
        self.acted: Decision | None = None

    def observe(self, item: Decision | Event) -> None:
        if isinstance(item, Decision):
            self.decisions.append(item)
            if isinstance(item.verdict, Approved) or self.acted is None:
                self.acted = item


class Verbs:
    """Answers about one daemon. Nothing here waits for the pipeline."""

    def __init__(self, daemon: Daemon, recent: Recent, reload: Reload) -> None:
        self._daemon, self._recent, self._reload = daemon, recent, reload
        self._started_s = time.monotonic()

    def table(self) -> dict[str, Verb]:
        return {
            "status": self.status,
            "why": self.why,
            "pause": self.pause,
            "resume": self.resume,
            "flatten": self.flatten,
            "reload": self.reload,
            "dump": self.dump,
        }

    async def status(self, _request: Mapping[str, Any]) -> object:
        daemon, settings = self._daemon, self._daemon.settings
        return {
            "version": __version__,
            "mode": daemon.mode.value,
            "live": settings.mode.live,
            "up_s": round(time.monotonic() - self._started_s, 1),
            "symbols": list(settings.market.symbols),
            "timeframe": settings.market.timeframe,
            "exchange": settings.market.exchange,
            "policy": {"name": daemon.pipeline.policy.name},
            **self._account(),
            "last_act": self._last_act(),
            "queues": daemon.pipeline.waiting(),
        }

    async def why(self, request: Mapping[str, Any]) -> object:
        last, symbol = int(request.get("last") or 10), request.get("symbol")
        found = [d for d in self._recent.decisions if symbol in {None, d.symbol}][-last:]
        return {"decisions": [explained(decision) for decision in found]}

    async def pause(self, _request: Mapping[str, Any]) -> object:
        await self._daemon.pause("by hand")
        return {"mode": self._daemon.mode.value}

    async def resume(self, _request: Mapping[str, Any]) -> object:
        await self._daemon.resume()
        return {"mode": self._daemon.mode.value}

    async def flatten(self, _request: Mapping[str, Any]) -> object:
        if not await self._daemon.flatten_now("by hand"):
            raise NotFlat(f"not flat: {self._daemon.trader.left()}; klined goes on trying when it stops or starts")
        return {"flat": True, "mode": self._daemon.mode.value}

    async def reload(self, request: Mapping[str, Any]) -> object:
        changed, refused = await self._reload.run(request.get("model"))
        if refused and not changed:
            raise Rejected(f"{', '.join(refused)} cannot change while running; restart to apply")
        return {"changed": changed, "refused": refused}

    async def dump(self, _request: Mapping[str, Any]) -> object:
        return self._daemon.trader.state()

    def _account(self) -> dict[str, object]:
        daemon = self._daemon
        trader, now_ms = daemon.trader, daemon.clock.now_ms()
        a, p = trader.book.A.row[0], trader.book.P.row[0]
        day, week, peak = a[at.DAY_EQUITY], a[at.WEEK_EQUITY], a[at.PEAK]
        return {
            "last_bar": {
                "close_time_ms": trader.time_ms or None,
                "age_s": round((now_ms - trader.time_ms) / 1000, 3) if trader.time_ms else None,
                "gaps_today": trader.gaps,
            },
            "positions": [
                {
                    "symbol": instrument.symbol,
                    "quantity": q[at.LOTS] * float(instrument.lot),
                    "entry": q[at.ENTRY],
                    "mark": q[at.MARK],
                    "pnl": q[at.LOTS] * float(instrument.lot) * (q[at.MARK] - q[at.ENTRY]),
                    "exposure": q[at.EXPOSURE],
                }
                for instrument, q in zip(trader.instruments, trader.book.Q.row, strict=True)
            ],
            "equity": {
                "value": a[at.EQUITY],
                "today": a[at.EQUITY] / day - 1 if day > 0 else 0.0,
                "week": a[at.EQUITY] / week - 1 if week > 0 else 0.0,
                "drawdown": a[at.EQUITY] / peak - 1 if peak > 0 else 0.0,
                "drawdown_max": p[at.DRAWDOWN_HALT_MAX],
            },
            "risk": {
                "state": daemon.mode_why,
                "used": [
                    {"name": "fills/hour", "used": int(a[at.TRADES_HOUR]), "limit": int(p[at.TRADES_HOUR_MAX])},
                    {"name": "losses in a row", "used": int(a[at.LOSSES]), "limit": int(p[at.LOSSES_MAX])},
                ],
            },
        }

    def _last_act(self) -> dict[str, object] | None:
        acted = self._recent.acted
        if acted is None:
            return None
        told = explained(acted)
        return {"time_ms": acted.bar_time_ms, "text": f"{told['verdict']} {told['reason']} {told['detail']}".strip()}


def explained(decision: Decision) -> dict[str, object]:
    """A decision as plain values; the same shape as the journal's readers give."""
    verdict = decision.verdict
    told: dict[str, object] = {
        "bar_time_ms": decision.bar_time_ms,
        "symbol": decision.symbol,
        "target": None if isnan(decision.target) else decision.target,
    }
    match verdict:
        case Approved(intent):
            told |= {"verdict": "approved", "reason": intent.cause.value, "detail": f"{intent.quantity:+f}"}
            told["client_id"] = intent.client_id
        case Held(reason=reason):
            told |= {"verdict": "held", "reason": reason.name.lower(), "detail": ""}
        case refused:
            told |= {"verdict": "refused", "reason": refused.reason.name.lower(), "detail": refused.detail}
    return told
