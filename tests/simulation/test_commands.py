"""`klined sim` as a person meets it: answers, files, exit codes, and what it says to nonsense."""

import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from klined.cli.main import main
from klined.errors import ConfigError
from klined.simulation import pool, proof, story
from klined.simulation.proof import Row, add_row, merge
from klined.simulation.run import simulate
from klined.simulation.schedule import CHANNELS, Fault, Schedule, make_schedule


def test_some_seeds_end_with_no_violation(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["sim", "--seeds", "3", "--workers", "1"]) == 0
    assert capsys.readouterr().out.splitlines()[-1] == "0 violations"


def test_one_seed_is_told_line_by_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["sim", "--seed", "2", "--verbose"]) == 0
    told = capsys.readouterr().out
    assert "process   starts, life 1" in told
    assert "KILLED" in told
    assert told.splitlines()[-1] == "0 violations"


def test_recorded_run_is_played_again_and_must_come_to_the_same(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "run.json"
    assert main(["sim", "--seed", "4", "--bars", "60", "--save", str(path)]) == 0
    assert main(["sim", "--replay", str(path)]) == 0
    changed = json.loads(path.read_text())
    changed["hash"] = "0" * 16
    path.write_text(json.dumps(changed))
    assert main(["sim", "--replay", str(path)]) == 2
    assert "instead of 0000" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (lambda text: text[: len(text) // 2], "is no recorded run"),
        (lambda _text: "garbage", "is no recorded run"),
        (lambda text: text.replace("klined-simulation-1", "klined-simulation-9"), "is of format"),
        (lambda text: text.replace('"version": "', '"version": "9'), "was recorded by klined 9"),
        (lambda text: text.replace('"channel": "post"', '"channel": "pest"'), "there is no fault pest."),
    ],
)
def test_spoilt_file_is_refused_with_a_sentence(spoil: object, says: str, tmp_path: Path) -> None:
    path, schedule = tmp_path / "run.json", make_schedule(4, 60)
    story.keep(path, schedule, simulate(schedule))
    path.write_text(spoil(path.read_text()))  # type: ignore[operator]
    with pytest.raises(ConfigError, match=says):
        story.kept(path)


def test_run_that_cannot_be_written_is_no_fault_of_klined(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["sim", "--seed", "4", "--bars", "45", "--save", str(tmp_path / "no" / "where.json")]) == 2
    assert "name a file that can be written" in capsys.readouterr().err


def test_story_of_few_faults_says_what_each_of_them_means() -> None:
    named = {f"{channel}.{what}" for channel, kinds in CHANNELS.items() for what in kinds}
    assert named - story.MEANINGS.keys() == {"person.pause", "person.resume", "person.flatten"}, "words of their own"
    schedule = Schedule(1, 41, ("ETH/USDT",), tight=False, faults=(Fault(59.0, "post", "lost", 60.0),))
    told = "\n".join(story.told(schedule, simulate(schedule)))
    assert "post.lost for 60 s: orders execute, their answers never come" in told


def test_missing_file_is_refused_with_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="No such file"):
        story.replayed(tmp_path / "none.json")


@pytest.mark.parametrize(
    "words",
    [["--seeds", "0"], ["--bars", "39"], ["--seeds", "2", "--save", "x"], ["--seed", "-1"], ["--prove", "--seed", "1"]],
)
def test_nonsense_is_refused_with_exit_code_two(words: list[str]) -> None:
    assert main(["sim", *words]) == 2


def test_without_room_for_processes_it_goes_on_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    def none(*_args: object, **_kwargs: object) -> None:
        raise OSError("no room")

    monkeypatch.setattr(pool, "ProcessPoolExecutor", none)
    assert pool.simulate_seeds(range(9), bars=41, kills=0, workers=4).runs == 9


def test_two_workers_come_to_the_same_as_one() -> None:
    alone = pool.simulate_seeds(range(10), bars=45, workers=1)
    both = pool.simulate_seeds(range(10), bars=45, workers=2)
    assert (alone.runs, alone.kills, alone.orders, alone.turns) == (both.runs, both.kills, both.orders, both.turns)
    assert alone.faults == both.faults, "each counts its own"


def test_rows_of_the_proof_replace_their_own_tier_only(tmp_path: Path) -> None:
    path = tmp_path / "build" / "prove.json"
    merge(path, [Row(tier="a", runs=1), Row(tier="b", runs=2)])
    assert merge(path, [Row(tier="a", runs=3)]) == [Row(tier="a", runs=3), Row(tier="b", runs=2)]
    fields = {"tier", "runs", "faults", "kills", "violations", "caught", "per_minute"}
    assert {frozenset(row) for row in json.loads(path.read_text())} == {frozenset(fields)}


def test_tier_of_the_test_suite_adds_its_row(tmp_path: Path) -> None:
    path = tmp_path / "prove.json"
    add_row("a", runs=1, path=path)
    rows = add_row("b", runs=2, faults={"cut": 3, "bent": 1}, kills=4, caught={"wrong": 5}, per_minute=6.04, path=path)
    assert rows[1] == Row(tier="b", runs=2, faults={"bent": 1, "cut": 3}, kills=4, caught={"wrong": 5}, per_minute=6.0)


def test_shares_of_one_tier_add_up(tmp_path: Path) -> None:
    path = tmp_path / "prove.json"
    add_row("a", runs=2, faults={"cut": 3}, kills=1, per_minute=2.0, path=path, adding=True)
    rows = add_row("a", runs=4, faults={"cut": 1, "bent": 1}, violations=1, per_minute=4.0, path=path, adding=True)
    assert rows == [Row(tier="a", runs=6, faults={"bent": 1, "cut": 4}, kills=1, violations=1, per_minute=3.0)]


def test_rows_added_by_many_processes_at_once_are_all_kept(tmp_path: Path) -> None:
    path = tmp_path / "prove.json"
    with ThreadPoolExecutor(8) as pool:  # each call opens the lock for itself, as a process does
        list(pool.map(lambda k: add_row(f"tier {k}", runs=k, path=path), range(40)))
    assert {row.tier for row in merge(path, [])} == {f"tier {k}" for k in range(40)}


def test_proof_file_that_is_no_table_is_replaced(tmp_path: Path) -> None:
    path = tmp_path / "prove.json"
    path.write_text("{ half")
    assert merge(path, [Row(tier="a", runs=1)]) == [Row(tier="a", runs=1)]


def test_proof_is_written_and_shown_as_a_table(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(proof, "PROOF", tmp_path / "prove.json")
    monkeypatch.setattr(proof, "prove", lambda *_: [Row(tier="simulation", runs=5, faults={"post.lost": 3}, kills=2)])
    assert main(["sim", "--prove"]) == 0
    assert "post.lost 3" in capsys.readouterr().out
