"""What the exchange says when it says no, and how an answer becomes bytes."""

from typing import Any

import msgspec
from aiohttp import web

from klined.world.tickets import Declined

encode = msgspec.json.encode


class ApiError(Exception):
    """An error answer: HTTP status, Binance's code and sentence."""

    def __init__(self, code: int, message: str, status: int = 400, **headers: str) -> None:
        super().__init__(f"{status} {code} {message}")
        self.code, self.message, self.status = code, message, status
        self.headers = {name.replace("_", "-"): value for name, value in headers.items()}
        self.data: dict[str, Any] = {}

    def body(self) -> dict[str, Any]:
        return {"code": self.code, "msg": self.message, **({"data": self.data} if self.data else {})}


def refusal(no: ApiError) -> web.Response:
    """As HTTP."""
    return web.Response(body=encode(no.body()), status=no.status, content_type="application/json", headers=no.headers)


def declined(no: Declined) -> ApiError:
    return ApiError(no.code, no.message)


BAD_KEY_FORMAT = (-2014, "API-key format invalid.")
BAD_KEY = (-2015, "Invalid API-key, IP, or permissions for action.")
BAD_SIGNATURE = (-1022, "Signature for this request is not valid.")
LATE = (-1021, "Timestamp for this request is outside of the recvWindow.")
EARLY = (-1021, "Timestamp for this request was 1000ms ahead of the server's time.")
