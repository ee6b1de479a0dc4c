"""What happened in an environment, kept as events and exported as JSON.

log_trade_execution(...) ─┐
log_performance_metric(..)├─▶ events, the last EVENTS_KEPT ─▶ export_events(file)
an environment's fills ───┘   and the standard logger "klined.environment.<id>", level DEBUG
"""

import json
import logging
import os
import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from klined.errors import ConfigError

EVENTS_KEPT = 100_000


@dataclass(frozen=True)
class TradingEvent:
    """One line of the export; `data` holds what the kind of event has."""

    event_type: str
    timestamp: float  # seconds since the epoch, when it was logged
    environment_id: str
    step: int | None = None
    asset: str | None = None
    data: Mapping[str, Any] = field(default_factory=dict)


class EnvironmentLogger:
    """Events of one environment. Give it to an environment as `logger` and every fill is logged by itself."""

    def __init__(self, environment_id: str, *, clock: Callable[[], float] = time.time) -> None:
        if not environment_id:
            raise ConfigError("an environment's log needs a name, not an empty one")
        self.environment_id = environment_id
        self.dropped = 0  # events beyond EVENTS_KEPT, oldest first
        self._events: deque[TradingEvent] = deque(maxlen=EVENTS_KEPT)
        self._clock = clock
        self._log = logging.getLogger(f"klined.environment.{environment_id}")

    @property
    def events(self) -> tuple[TradingEvent, ...]:
        return tuple(self._events)

    def log_trade_execution(
        self, asset: str, side: str, quantity: float, price: float, fees: float, step: int | None = None
    ) -> None:
        """A fill: `quantity` in base, `price` and `fees` in quote."""
        if side not in {"buy", "sell"}:
            raise ConfigError(f"side {side!r} must be buy or sell")
        data = {"side": side, "quantity": quantity, "price": price, "fees": fees, "trade_value": quantity * price}
        self._keep("trade_execution", step, asset, data)

    def log_performance_metric(self, metric_name: str, metric_value: float, step: int | None = None) -> None:
        """A number worth following."""
        self._keep("performance_metric", step, None, {"metric_name": metric_name, "metric_value": metric_value})

    def log_portfolio_update(
        self, portfolio_value: float, balance: float, positions: Mapping[str, float], step: int | None = None
    ) -> None:
        """What is owned: value and balance in quote, positions in base."""
        data = {"portfolio_value": portfolio_value, "balance": balance, "positions": dict(positions)}
        self._keep("portfolio_update", step, None, data)

    def get_performance_summary(self) -> dict[str, dict[str, float]]:
        """Of every metric: current, mean, min, max and count."""
        told: dict[str, list[float]] = {}
        for event in self._events:
            if event.event_type == "performance_metric":
                told.setdefault(event.data["metric_name"], []).append(event.data["metric_value"])
        return {name: _summed(values) for name, values in told.items()}

    def export_events(self, filename: str | Path) -> None:
        """All events as one JSON list, oldest first; the file is whole or not there.

        Raises:
            ConfigError: the file cannot be written.
        """
        path = Path(filename)
        part = path.with_name(f"{path.name}.part")
        try:
            with part.open("w", encoding="utf-8") as file:
                json.dump([asdict(event) for event in self._events], file, indent=2, default=str)
            os.replace(part, path)  # noqa: PTH105 - the same; this one says that it replaces
        except OSError as fault:
            raise ConfigError(f"cannot write events to {path}: {fault}") from fault

    def _keep(self, kind: str, step: int | None, asset: str | None, data: dict[str, Any]) -> None:
        self.dropped += len(self._events) == EVENTS_KEPT
        self._events.append(TradingEvent(kind, self._clock(), self.environment_id, step, asset, data))
        self._log.debug("%s %s", kind, data)


def create_environment_logger(environment_id: str) -> EnvironmentLogger:
    """A log by that name."""
    return EnvironmentLogger(environment_id)


def _summed(values: Iterable[float]) -> dict[str, float]:
    numbers = list(values)
    return {
        "current": numbers[-1],
        "mean": sum(numbers) / len(numbers),
        "min": min(numbers),
        "max": max(numbers),
        "count": float(len(numbers)),
    }
