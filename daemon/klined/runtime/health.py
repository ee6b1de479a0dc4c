"""What the service manager hears: READY, STATUS, WATCHDOG, STOPPING; nothing at all when there is none.

The watchdog is fed by progress, not by being alive: `Health.beat` is called when a stage has done its work or while a
supervised wait is alerting, and the ping is withheld when neither happened within the deadline.
"""

import os
import socket
from collections.abc import Mapping

from klined.ports import Clock

PINGS_PER_TIMEOUT = 3.0


class Health:
    """Speaks sd_notify(3) over `$NOTIFY_SOCKET`."""

    def __init__(self, clock: Clock, environ: Mapping[str, str] = os.environ) -> None:
        self._clock = clock
        self._address = environ.get("NOTIFY_SOCKET", "")
        self.watchdog_s = int(environ.get("WATCHDOG_USEC", "0")) / 1e6
        self._beaten_s = clock.monotonic_s()
        self._pinged_s = 0.0

    def ready(self, status: str) -> None:
        self._send(f"READY=1\nSTATUS={status}")

    def status(self, text: str) -> None:
        self._send(f"STATUS={text}")

    def stopping(self, extend_s: float) -> None:
        """Ask for the time the flatten may take, beyond the unit's own stop time-out."""
        self._send(f"STOPPING=1\nEXTEND_TIMEOUT_USEC={int(extend_s * 1e6)}")

    def extend(self, extend_s: float) -> None:
        self._send(f"EXTEND_TIMEOUT_USEC={int(extend_s * 1e6)}")

    def beat(self) -> None:
        """Progress was made, or a supervised wait is alerting."""
        self._beaten_s = self._clock.monotonic_s()

    def ping(self, deadline_s: float) -> bool:
        """Feed the watchdog if there was a beat within `deadline_s`; whether it was fed."""
        alive = self._clock.monotonic_s() - self._beaten_s <= deadline_s
        if alive:
            self._send("WATCHDOG=1")
        return alive

    @property
    def interval_s(self) -> float:
        """How often to ping; 0 when nobody listens."""
        return self.watchdog_s / PINGS_PER_TIMEOUT

    def _send(self, message: str) -> None:
        if not self._address:
            return
        address = "\0" + self._address[1:] if self._address.startswith("@") else self._address
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sock:
            sock.connect(address)
            sock.sendall(message.encode())
