"""Changing a spot order: cancel and replace, or make it smaller where it stands."""

from msgspec.structs import replace

from klined.sandbox import spot_reports as reports
from klined.sandbox.answers import ApiError, declined
from klined.sandbox.calls import Call, Endpoint, Security, Table
from klined.sandbox.lag import in_time
from klined.sandbox.spot_calls import cancel_order, find_order, new_order
from klined.sandbox.spot_orders import new_id
from klined.sandbox.spot_reports import Json
from klined.world.tickets import Declined


def cancel_replace(call: Call) -> Json:
    """Cancel one order and place another, as cancelReplaceMode says."""
    mode = call.params.require("cancelReplaceMode")
    if mode not in {"STOP_ON_FAILURE", "ALLOW_FAILURE"}:
        raise ApiError(-1130, "Data sent for parameter 'cancelReplaceMode' is not valid.")
    found: Json = {"cancelResult": "SUCCESS", "newOrderResult": "SUCCESS"}
    renamed = {"orderId": "cancelOrderId", "origClientOrderId": "cancelOrigClientOrderId"}
    raw = {name: call.params.text(old) for name, old in renamed.items() if call.params.text(old)}
    raw |= {"symbol": call.symbol()}
    if call.params.text("cancelNewClientOrderId"):
        raw["newClientOrderId"] = call.params.text("cancelNewClientOrderId")
    try:
        found["cancelResponse"] = cancel_order(replace(call, params=type(call.params)(raw)))
    except (ApiError, Declined) as no:
        found |= {"cancelResult": "FAILURE", "cancelResponse": _body(no)}
    if found["cancelResult"] == "FAILURE" and mode == "STOP_ON_FAILURE":
        found |= {"newOrderResult": "NOT_ATTEMPTED", "newOrderResponse": None}
        raise _failed(-2022, "Order cancel-replace failed.", found)
    try:
        found["newOrderResponse"] = new_order(call)
    except (ApiError, Declined) as no:
        found |= {"newOrderResult": "FAILURE", "newOrderResponse": _body(no)}
    if "FAILURE" in {found["cancelResult"], found["newOrderResult"]}:
        both = found["cancelResult"] == found["newOrderResult"]
        failed = (-2022, "Order cancel-replace failed.") if both else (-2021, "Order cancel-replace partially failed.")
        raise _failed(*failed, found)
    return found


def _body(no: ApiError | Declined) -> Json:
    return (declined(no) if isinstance(no, Declined) else no).body()


def _failed(code: int, message: str, data: Json) -> ApiError:
    error = ApiError(code, message, 409 if code == -2021 else 400)
    error.data = data
    return error


def amend(call: Call) -> Json:
    """A smaller quantity, with its place in the queue kept."""
    venue, quantity = call.exchange.spot, call.params.positive("newQty")
    order = find_order(call, missing=(-2038, "Unknown order sent."))
    order = venue.amend(order, quantity, call.params.client_id("newClientOrderId", new_id()), call.now_ms)
    entry = venue.memory.lists.get(order.list_number)
    orders = [venue.memory.orders[number] for number in entry.orders] if entry is not None else []
    return reports.amended(order, entry, orders)


def amendments(call: Call) -> list[Json]:
    order = find_order(call, missing=(-2013, "Order does not exist."))
    first, limit = call.params.integer("fromExecutionId"), call.params.limit(500, 1000)
    found = reports.amendments(order) if in_time(call, order.created_ms) else []
    return [entry for entry in found if entry["executionId"] >= first][:limit]


TABLE: Table = {
    ("POST", "/api/v3/order/cancelReplace"): Endpoint(cancel_replace, 1, Security.TRADE, places=1, free=True),
    ("PUT", "/api/v3/order/amend/keepPriority"): Endpoint(amend, 4, Security.TRADE),
    ("GET", "/api/v3/order/amendments"): Endpoint(amendments, 4, Security.SIGNED),
}
