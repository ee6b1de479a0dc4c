"""Who has subscribed to what, and how a message finds them: raw, or wrapped with its stream's name."""

from collections.abc import Iterable

from klined.sandbox.answers import encode
from klined.sandbox.channels import Channel


class Streams:
    """Subscriptions of one kind of market."""

    def __init__(self) -> None:
        self.channels: dict[Channel, None] = {}
        self.subscribers: dict[str, dict[Channel, None]] = {}
        self.silent: dict[str, int] = {}  # stream name, or "*": silent until

    def open(self, channel: Channel, names: Iterable[str]) -> None:
        self.channels[channel] = None
        for name in names:
            self.subscribe(channel, name)

    def close(self, channel: Channel) -> None:
        self.channels.pop(channel, None)
        for name in list(channel.streams):
            self.unsubscribe(channel, name)

    def subscribe(self, channel: Channel, name: str) -> None:
        channel.streams[name] = None
        self.subscribers.setdefault(name, {})[channel] = None

    def unsubscribe(self, channel: Channel, name: str) -> None:
        channel.streams.pop(name, None)
        found = self.subscribers.get(name)
        if found is not None:
            found.pop(channel, None)
            if not found:
                del self.subscribers[name]

    def wanted(self, name: str) -> bool:
        return name in self.subscribers

    def send(self, name: str, data: object, now_ms: int) -> None:
        """Tell all subscribers of `name`; `data` is encoded once, bytes go out as they are."""
        found = self.subscribers.get(name)
        if not found or now_ms < self.silent.get(name, 0) or now_ms < self.silent.get("*", 0):
            return
        raw = data if isinstance(data, bytes) else encode(data)
        wrapped = b'{"stream":' + encode(name) + b',"data":' + raw + b"}"
        for channel in list(found):
            channel.send(wrapped if channel.combined else raw)

    def shutdown(self, now_ms: int) -> None:
        """Tell everybody that the server is going away."""
        told = encode({"e": "serverShutdown", "E": now_ms})
        for channel in self.channels:
            channel.send(b'{"stream":"!serverShutdown","data":' + told + b"}" if channel.combined else told)

    def disconnect(self) -> None:
        for channel in list(self.channels):
            channel.close()
