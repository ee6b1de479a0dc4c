"""Markets made and judged from the command line."""

import gzip
import json
from pathlib import Path

import numpy as np
import pytest

from klined.cli.main import main
from klined.cli.market import read_bars
from klined.config.load import load
from klined.world.generators import SAYS, generate
from klined.world.laying import lay
from klined.world.scenarios import SCENARIOS, parsed


def test_list_names_every_generator_and_scenario(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--json", "market", "list"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["generators"] == SAYS
    assert told["scenarios"].keys() == SCENARIOS.keys()
    assert told["scenarios"]["flash_crash"]["depth"] == 0.15
    assert main(["market", "list"]) == 0
    text = capsys.readouterr().out
    assert all(f"  {kind}" in text for kind in (*SAYS, *SCENARIOS))


def test_what_is_generated_is_what_is_read_back_to_the_byte(tmp_path: Path) -> None:
    for name in ("ETHUSDT-1m.csv", "ETHUSDT-1m.csv.gz"):
        out = tmp_path / name
        code = main(
            ["market", "generate", "--kind", "garch:alpha=0.05", "--bars", "300", "--seed", "5", "--out", str(out)]
        )
        assert code == 0
        tables, interval_ms = read_bars([out], [], None)
        assert interval_ms == 60_000
        assert np.array_equal(tables["ETH/USDT"], generate("garch", ["ETH/USDT"], 300, seed=5, alpha=0.05)["ETH/USDT"])


def test_several_symbols_stand_in_a_directory_under_names_that_replay_understands(tmp_path: Path) -> None:
    args = ["market", "generate", "--kind", "gbm", "--bars", "50", "--timeframe", "5m", "--correlation", "0.9"]
    symbols = ["--symbol", "ETH/USDT:USDT", "--symbol", "BTC/USDT:USDT"]
    assert main([*args, *symbols, "--out", str(tmp_path / "made")]) == 0
    files = sorted((tmp_path / "made").iterdir())
    assert [path.name for path in files] == ["BTCUSDT-5m_um.csv.gz", "ETHUSDT-5m_um.csv.gz"]
    tables, interval_ms = read_bars(files, [], None)
    assert set(tables) == {"ETH/USDT:USDT", "BTC/USDT:USDT"}
    assert interval_ms == 300_000


def test_a_bootstrap_draws_from_the_files_it_is_given(tmp_path: Path) -> None:
    base, out = tmp_path / "ETHUSDT-1m.csv", tmp_path / "out.csv.gz"
    assert main(["market", "generate", "--bars", "200", "--out", str(base)]) == 0
    args = ["market", "generate", "--kind", "bootstrap:mean_block=20", "--bars", "500", "--base", str(base)]
    assert main([*args, "--out", str(out)]) == 0
    volumes = {line.rpartition(",")[2] for line in base.read_text().splitlines()[1:]}
    made = gzip.decompress(out.read_bytes()).decode().splitlines()[1:]
    assert len(made) == 500
    assert {line.rpartition(",")[2] for line in made} <= volumes


def test_check_tells_a_market_from_a_random_walk_by_its_exit_code(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for kind, code in (("market", 0), ("gbm", 1)):
        out = tmp_path / f"{kind}-ETHUSDT-1m.csv"
        assert main(["market", "generate", "--kind", kind, "--bars", "20000", "--out", str(out)]) == 0
        capsys.readouterr()
        assert main(["market", "check", str(out), "--json"]) == code
        told = json.loads(capsys.readouterr().out)
        assert told["realistic"] is (code == 0)
        assert all(fact["passed"] for fact in told["facts"]) is (code == 0)
        assert main(["market", "check", str(out)]) == code
        assert ("behaves like a market" if code == 0 else "is no market: fat tails") in capsys.readouterr().out


def test_scenarios_are_laid_over_a_file_as_in_python(tmp_path: Path) -> None:
    base, out = tmp_path / "ETHUSDT-1m.csv", tmp_path / "crash.csv"
    assert main(["market", "generate", "--bars", "900", "--out", str(base)]) == 0
    texts = ["flash_crash:start=100,depth=0.3", "outage:start=400,bars=20"]
    args = [part for text in texts for part in ("--scenario", text)]
    assert main(["market", "lay", str(base), *args, "--out", str(out)]) == 0
    tables = read_bars([base], [], None)[0]
    expected = lay(tables, [parsed(text) for text in texts])["ETH/USDT"]
    assert len(expected) == 880
    assert np.array_equal(read_bars([out], ["ETH/USDT"], None)[0]["ETH/USDT"], expected)


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (["generate", "--kind", "garc", "--bars", "5"], "did you mean garch"),
        (["generate", "--kind", "garch:alpa=1"], "did you mean alpha"),
        (["generate", "--kind", "gbm", "--bars", "0"], "nothing to make"),
        (["generate", "--kind", "gbm", "--symbol", "ETH"], "is no spot symbol"),
        (["generate", "--kind", "bootstrap"], "give its files"),
        (["generate", "--symbol", "ETH/USDT", "--symbol", "BTC/USDT"], "--out DIR"),
        (["generate", "--bars", "5", "--out", "/nowhere/at/all.csv"], "cannot write"),
        (["lay", "nowhere.csv", "--scenario", "flashcrash"], "did you mean flash_crash"),
        (["check", "nowhere.csv"], "no file nowhere.csv"),
    ],
)
def test_what_cannot_be_done_is_told_in_a_sentence(
    args: list[str], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["market", *args]) == 2
    assert words in capsys.readouterr().err


def test_costs_measured_on_a_recorded_book_are_settings(
    shared_data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    frames = shared_data / "ws_frames/hftbacktest/usdm_ethusdt_20240808.gz"
    assert main(["market", "calibrate", str(frames), "--symbol", "ETH/USDT:USDT"]) == 0
    text = capsys.readouterr().out
    path = tmp_path / "klined.toml"
    path.write_text(text)
    assert load(path).costs.impact == pytest.approx(0.59, abs=0.01)
    assert 0.0 < load(path).costs.half_spread_bps < 0.1


def test_costs_of_a_symbol_that_was_not_recorded_are_refused(
    shared_data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    frames = shared_data / "ws_frames/hftbacktest/spot_ethusdt_20240808.gz"
    assert main(["market", "calibrate", str(frames), "--symbol", "SOL/USDT"]) == 2
    assert "holds 0 bars" in capsys.readouterr().err
