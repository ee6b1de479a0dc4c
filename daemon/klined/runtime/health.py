"""What the service manager hears: READY, STATUS, WATCHDOG, STOPPING; nothing at all when there is none.

Health only speaks; what deserves a ping is decided by `runtime.watch`.
"""

import contextlib
import os
import socket
from collections.abc import Mapping

PINGS_PER_TIMEOUT = 3.0
END_S = 15.0  # after a flatten: the last transaction, the report, the sockets


class Health:
    """Speaks sd_notify(3) over `$NOTIFY_SOCKET`."""

    def __init__(self, environ: Mapping[str, str] = os.environ) -> None:
        self._address = environ.get("NOTIFY_SOCKET", "")
        self.watchdog_s = int(environ.get("WATCHDOG_USEC") or 0) / 1e6
        self._status = ""

    def ready(self, status: str) -> None:
        self._status = status
        self._send(f"READY=1\nSTATUS={status}")

    def status(self, text: str) -> None:
        """One line for `systemctl status`; said once until it changes."""
        if text != self._status:
            self._status = text
            self._send(f"STATUS={text}")

    def stopping(self, extend_s: float) -> None:
        """Ask for the time the flatten may take, and the end after it, beyond the unit's own stop time-out."""
        self._send(f"STOPPING=1\nSTATUS=stopping: cancelling, closing\nEXTEND_TIMEOUT_USEC={_us(extend_s + END_S)}")

    def extend(self, extend_s: float) -> None:
        """Ask for so much time from now on, for a start or a stop."""
        self._send(f"EXTEND_TIMEOUT_USEC={_us(extend_s)}")

    def ping(self) -> None:
        self._send("WATCHDOG=1")

    @property
    def interval_s(self) -> float:
        """How often to ping; 0 when nobody listens."""
        return self.watchdog_s / PINGS_PER_TIMEOUT

    def _send(self, message: str) -> None:
        if not self._address:
            return
        address = "\0" + self._address[1:] if self._address.startswith("@") else self._address
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sock:
            sock.setblocking(False)  # noqa: FBT003 - the standard library's signature
            with contextlib.suppress(OSError):  # a manager that is too busy to listen must not hold up trading
                sock.connect(address)
                sock.send(message.encode())


def _us(seconds: float) -> int:
    return int(seconds * 1e6)
