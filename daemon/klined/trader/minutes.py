"""The minutes of the trader: what was told, decided and done since the last record, in order, for one transaction.

What the journal could not take is kept and becomes the first part of the next record: nothing is lost while a disk is
full.
"""

import msgspec

from klined.domain import Decision, Event, Fill, Input, Intent, News, Record

_json = msgspec.json.Encoder()

Orders = tuple[tuple[str, bytes], ...]


class Minutes:
    """Numbers what is told; `seq` is the number of the newest input."""

    def __init__(self) -> None:
        self.seq = 0
        self.unsaved: Record | None = None
        self.intents: list[Intent] = []
        self.fills: list[Fill] = []
        self.events: list[Event] = []
        self._inputs: list[Input] = []

    def __bool__(self) -> bool:
        return bool(self._inputs or self.intents or self.events or self.unsaved)

    def batch(self, time_ms: int, body: bytes) -> None:
        self.seq += 1
        self._inputs.append(Input(self.seq, time_ms, "batch", body))

    def news(self, news: News, now_ms: int) -> None:
        self.seq += 1
        self._inputs.append(Input(self.seq, now_ms, "news", _json.encode(news)))

    def close(self, time_ms: int, decisions: tuple[Decision, ...], orders: Orders) -> Record:
        """All of it as one record; the minutes begin anew."""
        inputs = tuple(self._inputs)
        self._inputs.clear()
        if self.intents or self.fills or self.events:
            done = tuple(self.intents), orders, tuple(self.fills), tuple(self.events)
            record = Record(self.seq, time_ms, inputs, decisions, *done)
            self.intents.clear()
            self.fills.clear()
            self.events.clear()
        else:
            record = Record(self.seq, time_ms, inputs, decisions, (), orders)
        return record if self.unsaved is None else joined(self.unsaved, record)


def joined(first: Record, then: Record) -> Record:
    """One record of two, in order."""
    return Record(
        then.seq,
        then.time_ms,
        first.inputs + then.inputs,
        first.decisions + then.decisions,
        first.intents + then.intents,
        first.orders + then.orders,
        first.fills + then.fills,
        first.events + then.events,
        first.venue + then.venue,
    )
