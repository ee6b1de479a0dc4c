"""Whether an answer is like an example: same fields, same JSON types."""

from typing import Any

OPTIONAL = {  # only some orders have them
    "icebergQty", "strategyId", "strategyType", "trailingDelta", "trailingTime", "preventedMatchId",
    "preventedQuantity", "stopPrice", "expiryReason", "usedSor", "workingFloor", "stopLimitPrice",
}  # fmt: skip


def sort_of(value: Any) -> str:
    """JSON's types; a number in text is another thing than a text."""
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, int | float):
        return "number"
    if isinstance(value, str):
        try:
            float(value)
        except ValueError:
            return "text"
        return "number in text"
    return {dict: "object", list: "list", type(None): "null"}[type(value)]


def differences(example: Any, ours: Any, path: str = "") -> list[str]:
    """Where `ours` is not like `example`."""
    if isinstance(example, dict) and isinstance(ours, dict):
        found = [f"{path}.{name} is missing" for name in example if name not in ours and name not in OPTIONAL]
        for name in example.keys() & ours.keys():
            found += differences(example[name], ours[name], f"{path}.{name}")
        return found
    if isinstance(example, list) and isinstance(ours, list):
        return differences(example[0], ours[0], f"{path}[0]") if example and ours else []
    kinds = {sort_of(example), sort_of(ours)}
    if len(kinds) == 1 or "null" in kinds or kinds == {"text", "number in text"}:
        return []
    return [f"{path} is {sort_of(ours)} here, {sort_of(example)} there"]
