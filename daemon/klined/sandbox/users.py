"""Who hears about the account: listen keys (futures) and subscriptions on websocket-API connections (spot)."""

import secrets
from typing import Any

from klined.sandbox.answers import ApiError, encode
from klined.sandbox.channels import Channel
from klined.sandbox.faults import FaultKind, Faults

LIFE_MS = 3_600_000
EVENT_FAULTS = (FaultKind.MISSING_EVENT,)
NO_KEY = (-1125, "This listenKey does not exist.")


class UserStreams:
    """Of one kind of market."""

    def __init__(self, market: str, faults: Faults) -> None:
        self._market, self._faults = market, faults
        self._keys: dict[str, int] = {}  # listen key: valid until
        self._owners: dict[str, str] = {}  # API key: its listen key
        self._listeners: dict[str, dict[Channel, None]] = {}
        self._subscriptions: dict[Channel, dict[int, None]] = {}
        self._events: dict[Channel, frozenset[str]] = {}
        self._held_back: list[dict[str, Any]] = []
        self._silent_until_ms = 0

    # --- listen keys --------------------------------------------------------------------------------------------------

    def create(self, owner: str, now_ms: int) -> str:
        """The owner's live key, extended, or a new one."""
        key = self._owners.get(owner, "")
        if now_ms >= self._keys.get(key, 0):
            key = self._owners[owner] = secrets.token_hex(32)
        self._keys[key] = now_ms + LIFE_MS
        return key

    def extend(self, owner: str, now_ms: int) -> str:
        """Raises ApiError (-1125) when there is none."""
        key = self._owners.get(owner, "")
        if now_ms >= self._keys.get(key, 0):
            raise ApiError(*NO_KEY)
        self._keys[key] = now_ms + LIFE_MS
        return key

    def delete(self, owner: str) -> None:
        key = self._owners.pop(owner, "")
        self._keys.pop(key, None)
        for channel in self._listeners.pop(key, {}):
            channel.close()

    def valid(self, key: str, now_ms: int) -> bool:
        return now_ms < self._keys.get(key, 0)

    def listen(self, channel: Channel, key: str, events: frozenset[str] = frozenset()) -> None:
        """Events of the key's owner go to the channel from now on; with `events`, only those."""
        self._listeners.setdefault(key, {})[channel] = None
        self._events[channel] = events

    def expire(self, now_ms: int, *, all_keys: bool = False) -> None:
        """Tell the listeners of keys that are over, and forget those."""
        for key, until_ms in list(self._keys.items()):
            if all_keys or now_ms >= until_ms:
                del self._keys[key]
                told = {"e": "listenKeyExpired", "E": now_ms, "listenKey": key}
                for channel in self._listeners.pop(key, {}):
                    self._to(channel, told, key)

    # --- subscriptions ------------------------------------------------------------------------------------------------

    def subscribe(self, channel: Channel, number: int) -> None:
        self._subscriptions.setdefault(channel, {})[number] = None

    def unsubscribe(self, channel: Channel, number: int | None) -> bool:
        """Whether there was such a subscription; None means all of the channel."""
        found = self._subscriptions.get(channel, {})
        if number is None:
            self._subscriptions.pop(channel, None)
            return bool(found)
        return found.pop(number, 0) is None

    def subscriptions(self, channel: Channel) -> list[int]:
        return list(self._subscriptions.get(channel, ()))

    def leave(self, channel: Channel) -> None:
        self._subscriptions.pop(channel, None)
        self._events.pop(channel, None)
        for found in self._listeners.values():
            found.pop(channel, None)

    def disconnect(self) -> None:
        for channel in {*self._subscriptions, *(each for found in self._listeners.values() for each in found)}:
            channel.close()

    # --- events -------------------------------------------------------------------------------------------------------

    def tell(self, events: list[dict[str, Any]], now_ms: int) -> None:
        """Send account events to everybody who listens, unless a fault has other plans."""
        for event in events:
            about = {"symbol": event.get("s", ""), "market": self._market}
            if self._faults.take((FaultKind.MISSING_EVENT,), event["e"], now_ms, **about) is not None:
                continue
            if self._faults.take((FaultKind.REORDER_EVENTS,), event["e"], now_ms, **about) is not None:
                self._held_back.append(event)
                continue
            copies = 2 if self._faults.take((FaultKind.DUPLICATE_EVENT,), event["e"], now_ms, **about) else 1
            for _ in range(copies):
                self._send(event)
            held, self._held_back = self._held_back, []
            for late in held:
                self._send(late)

    def _send(self, event: dict[str, Any]) -> None:
        for channel, numbers in list(self._subscriptions.items()):
            for number in numbers:
                channel.send(encode({"subscriptionId": number, "event": event}))
        for key, channels in self._listeners.items():
            for channel in list(channels):
                wanted = self._events.get(channel)
                if not wanted or event["e"] in wanted:
                    self._to(channel, event, key)

    @staticmethod
    def _to(channel: Channel, event: dict[str, Any], key: str) -> None:
        channel.send(encode({"stream": key, "data": event} if channel.combined else event))
