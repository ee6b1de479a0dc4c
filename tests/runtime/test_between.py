"""What is committed between batches never holds half a batch."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from klined.domain import Record
from klined.runtime.daemon import Daemon
from runtime.playing import FailingJournal, play, settings_of

BARS = 120


@pytest.mark.parametrize("bar", [5, 40, 41, 90])
def test_flatten_by_hand_in_the_middle_of_a_batch_waits_for_its_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, bar: int
) -> None:
    """Else a kill right after would leave a bar that was seen and never decided."""
    records: list[Record] = []
    commit = FailingJournal.commit

    async def noted(journal: FailingJournal, record: Record, snapshot: Callable[[], bytes] | None) -> None:
        records.append(record)
        await commit(journal, record, snapshot)

    monkeypatch.setattr(FailingJournal, "commit", noted)
    flat: list[asyncio.Task[bool]] = []

    def at_bar(daemon: Daemon) -> None:
        policy: Any = daemon.pipeline.policy
        decide, bars = policy.decide, iter(range(BARS + 1))

        def decide_and_flatten(observations: object) -> object:
            if next(bars) == bar:
                flat.append(asyncio.get_running_loop().create_task(daemon.flatten_now("by hand")))
            return decide(observations)

        policy.decide = decide_and_flatten

    code, daemon, _, _ = play(settings_of(tmp_path / "state", BARS), prepare=at_bar)
    assert code == 0
    assert flat[0].result()
    for record in records:
        batches = [item for item in record.inputs if item.kind == "batch" and item.body != b"warmup"]
        assert len(batches) == len(record.decisions), record
    assert not daemon.trader.left()
