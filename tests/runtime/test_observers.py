"""Observers hear of everything durable, and cannot touch trading however they behave."""

import asyncio
from pathlib import Path

import pytest

from klined.domain import Decision, Event
from klined.runtime.observing import QUEUE_MAX, Bus, Watcher
from klined.store.digests import digest
from runtime.playing import play, settings_of

BARS = 300


class Listener:
    def __init__(self) -> None:
        self.items: list[Decision | Event] = []

    def observe(self, item: Decision | Event) -> None:
        self.items.append(item)


class Crasher(Listener):
    """Fails at its n-th item."""

    def __init__(self, n: int) -> None:
        super().__init__()
        self._n = n

    def observe(self, item: Decision | Event) -> None:
        super().observe(item)
        if len(self.items) == self._n:
            raise RuntimeError("an observer crashed")


def event(n: int) -> Event:
    return Event(n, "info", "thing.happened", {"n": n})


@pytest.mark.parametrize("n", [1, 2, 50])
def test_crash_of_an_observer_changes_no_decision(tmp_path: Path, n: int) -> None:
    assert play(settings_of(tmp_path / "alone", BARS))[0] == 0
    crasher, listener = Crasher(n), Listener()
    assert play(settings_of(tmp_path / "watched", BARS), observers=[crasher, listener])[0] == 0
    assert len(crasher.items) == n, "it is not asked again"
    assert len([item for item in listener.items if isinstance(item, Decision)]) == BARS, "the others go on"
    assert digest(tmp_path / "alone" / "journal.db") == digest(tmp_path / "watched" / "journal.db")


async def test_slow_observer_loses_the_oldest_and_is_told_how_many() -> None:
    listener = Listener()
    watcher = Watcher(listener)
    for n in range(QUEUE_MAX + 10):
        watcher.put(event(n))
    assert watcher.dropped == 10
    task = asyncio.create_task(watcher.run())
    await asyncio.sleep(0)  # one turn is all that it takes
    task.cancel()
    assert [item.data["n"] for item in listener.items if isinstance(item, Event)] == list(range(10, QUEUE_MAX + 10))


async def test_bus_lets_observers_see_what_is_left_before_it_ends() -> None:
    listener = Listener()
    bus = Bus([listener])
    bus.start()
    bus.publish([event(n) for n in range(5)])
    await bus.close()
    assert len(listener.items) == 5
