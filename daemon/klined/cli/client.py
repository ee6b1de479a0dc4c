"""The other end of the control socket: one JSON line there, one JSON line back. Blocking, standard library only."""

import json
import socket
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from klined.errors import KlinedError, NotRunning

ANSWER_BYTES_MAX = 16 * 1024 * 1024


class Declined(KlinedError):
    """The daemon understood and said no."""

    def __init__(self, sentence: str, code: int) -> None:
        super().__init__(sentence)
        self.exit_code = code or 1


def ask(path: Path, request: Mapping[str, Any], timeout_s: float = 10.0) -> Any:
    """What the daemon behind `path` answers to `request`, `{"verb": ..., ...}`.

    Raises:
        NotRunning: nobody listens there.
        Declined: the answer is a refusal; its exit code is the daemon's.
        KlinedError: the answer does not come in time, or is none.
    """
    try:
        answer = json.loads(_exchange(path, json.dumps(request).encode() + b"\n", timeout_s))
    except (FileNotFoundError, ConnectionRefusedError) as error:
        raise NotRunning(f"no daemon on {path}") from error
    except TimeoutError as error:
        raise KlinedError(f"the daemon on {path} does not answer within {timeout_s:g} s") from error
    except PermissionError as error:
        raise KlinedError(f"{path} belongs to another user; run this as the daemon's user") from error
    except (OSError, ValueError) as error:
        raise KlinedError(f"the daemon on {path} answered nothing useful: {error}") from error
    if not isinstance(answer, dict) or "ok" not in answer:
        raise KlinedError(f"the daemon on {path} answered nothing useful: {str(answer)[:80]}")
    if not answer["ok"]:
        raise Declined(str(answer.get("error", "refused")), int(answer.get("code", 1)))
    return answer.get("data")


def _exchange(path: Path, line: bytes, timeout_s: float) -> bytes:
    with socket.socket(socket.AF_UNIX) as link:
        link.settimeout(timeout_s)
        link.connect(str(path))
        link.sendall(line)
        with link.makefile("rb") as answer:
            return answer.readline(ANSWER_BYTES_MAX)
