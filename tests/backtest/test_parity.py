"""What is searched on is what trades: lane and pipeline agree to the lot on every market; a fault is named."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from backtest.markets import bars_of, write_csv
from klined.backtest.certificate import Certificate, certify, lane_policy, terms_of
from klined.backtest.history import History, history_of
from klined.backtest.lanes import Result, run
from klined.backtest.parity import Divergence, compare
from klined.backtest.piped import run_piped
from klined.cli.main import main
from klined.config.load import load
from klined.config.settings import Settings
from klined.domain import Instrument
from klined.feeds.columns import read_columns
from klined.kernels import jit, tapes
from klined.policies.rules import EmaCross
from klined.ports import Choice
from klined.runtime.assembly import make_instruments, make_policy
from klined.trader.plans import ETH15
from replay.worlds import NAMES, WIDE, WORLDS, World

FEW = ("eth_2025_default_limits", "pair_2021", "eth_perp_2025", "twelve_2021", "hourly_2017")
STOPPED = ("exits.fixed=0.004", "exits.trail_atr=8", "exits.break_even_atr=5", "exits.sigma=6", "exits.time_minutes=45")


def proved(settings: Settings, *, sandbox: bool = False) -> Certificate:
    found = certify(settings, sandbox=sandbox)
    assert isinstance(found, Certificate), str(found)
    assert found.sums.fills > 0
    return found


@pytest.mark.parametrize("world", WORLDS, ids=NAMES)
def test_lane_trades_every_real_market_as_the_pipeline_does(shared_data: Path, tmp_path: Path, world: World) -> None:
    certificate = proved(world.settings(shared_data, tmp_path / "state", "ema_cross"))
    assert certificate.sums.fills >= world.fills_min - 1  # the last order may wait for a bar that does not come


@pytest.mark.parametrize("name", FEW)
@pytest.mark.parametrize("policy", ["momentum", "mean_reversion", "onnx"])
def test_any_policy_is_asked_the_same_and_answers_the_same(
    shared_data: Path, tmp_path: Path, name: str, policy: str
) -> None:
    world = next(world for world in WORLDS if world.name == name)
    if policy == "onnx" and world.timeframe != "1m":
        pytest.skip("the shipped network was trained on minutes")
    proved(world.settings(shared_data, tmp_path / "state", policy))


@pytest.mark.parametrize("name", ["eth_2021_crash", "eth_perp_2025", "pair_2021"])
def test_stops_and_rebalancing_come_alike(shared_data: Path, tmp_path: Path, name: str) -> None:
    more = (*STOPPED, "risk.rebalance_minutes=30", "risk.rebalance_band=0.02", "risk.deadband=0.01")
    world = next(world for world in WORLDS if world.name == name)
    proved(world.settings(shared_data, tmp_path / "state", "ema_cross", more))


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("world", [w for w in WORLDS if w.first or w.rows], ids=lambda world: world.name)
def test_lane_trades_every_bar_of_every_file_as_the_pipeline_does(
    shared_data: Path, tmp_path: Path, world: World
) -> None:
    proved(world.whole.settings(shared_data, tmp_path / "state", "ema_cross"))


@pytest.mark.parametrize("symbols", [("ETH/USDT",), ("BTC/USDT", "ETH/USDT", "SOL/USDT")], ids=["one", "three"])
@pytest.mark.parametrize("kind", ["spot", "perp"])
def test_lane_trades_a_made_up_market_as_the_pipeline_does(tmp_path: Path, symbols: tuple[str, ...], kind: str) -> None:
    """No real data needed: this one runs everywhere."""
    proved(made_up(tmp_path, symbols, kind))


def made_up(folder: Path, symbols: tuple[str, ...], kind: str, *more: str, factor: float = 1.0) -> Settings:
    """A seeded market in files; from bar 900 on, prices are multiplied by `factor`."""
    names = tuple(f"{symbol}:USDT" for symbol in symbols) if kind == "perp" else symbols
    files = []
    for symbol, bars in zip(symbols, bars_of(names, 1_500), strict=True):
        bars[900:, 1:5] = np.round(bars[900:, 1:5] * factor, 2)
        files.append(write_csv(folder / f"{symbol.replace('/', '')}-1m.csv", bars))
    given = (
        "market.feed=recorded",
        "market.speed=0",
        f"market.files={','.join(map(str, files))}",
        f"market.symbols={','.join(names)}",
        f"market.kind={kind}",
        "policy.name=ema_cross",
        f"store.dir={folder / 'state'}",
    )
    return load(None, [*given, *WIDE, *more], environ={})


def test_liquidation_comes_alike_and_halts_both(tmp_path: Path) -> None:
    limits = ("risk.max_exposure=8", "risk.max_leverage=20", "risk.max_gross=20", "risk.max_net=20",
              "risk.max_symbol=20", "risk.max_cluster=20", "risk.min_liquidation_atr=0",
              "risk.min_liquidation_distance=0")  # fmt: skip
    settings = made_up(tmp_path, ("ETH/USDT",), "perp", *limits, factor=1.4)
    proved(settings)
    piped, lane_result, *_ = both(settings)
    assert lane_result.fills[-1, tapes.FILL_KIND] == piped.fills[-1, tapes.FILL_KIND] == 1.0


# --- planted faults ---------------------------------------------------------------------------------------------------


def both(settings: Settings) -> tuple[Result, Result, History, list[Instrument]]:
    """Pipeline and interpreted lane, and what they ran on."""
    instruments, policy, market = make_instruments(settings), make_policy(settings), settings.market
    history = history_of(
        read_columns(market.symbols, market.interval_ms, market.files), instruments, market.interval_ms
    )
    (result,) = run(
        history, instruments, [terms_of(settings, policy)], lane_policy(policy), kernels=jit.interpreted(), record=True
    )
    return run_piped(settings, history, instruments), result, history, instruments


@pytest.fixture(scope="module")
def equal(tmp_path_factory: pytest.TempPathFactory) -> tuple[Result, Result, History, list[Instrument]]:
    found = both(made_up(tmp_path_factory.mktemp("equal"), ("BTC/USDT", "ETH/USDT"), "spot"))
    assert compare(*found, ETH15) is None
    return found


def nudge(field: str, *at: int, by: float) -> Callable[[Result], Result]:
    """A result in which one number of `field` is `by` more."""

    def change(result: Result) -> Result:
        values = getattr(result, field).copy()
        values[at] = values[at] + by
        return Result(**{**{name: getattr(result, name) for name in result.__struct_fields__}, field: values})

    return change


@pytest.mark.parametrize(
    ("fault", "told"),
    [
        (nudge("fills", 3, tapes.FILL_TICKS, by=1.0), "fill ticks"),
        (nudge("fills", 3, tapes.FILL_LOTS, by=1.0), "fill lots"),
        (nudge("fills", 3, tapes.FILL_FEE, by=1e-4), "fee"),
        (nudge("fills", 3, tapes.FILL_TIME, by=60_000.0), "fill time"),
        (nudge("equity", 700, by=2e-4), "equity"),
        (nudge("observations", 1, 700, 3, by=1e-6), "observation price_momentum"),
        (nudge("observations", 1, 700, 0, by=1e-6), "observation position"),
        (nudge("decisions", 1, 700, tapes.TARGET, by=0.1), "target"),
        (nudge("decisions", 1, 700, tapes.REASON, by=10.0), "reason"),
        (nudge("decisions", 1, 700, tapes.DECIDED_LOTS, by=1.0), "order lots"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_one_changed_number_is_found_and_named(
    equal: tuple[Result, Result, History, list[Instrument]], fault: Callable[[Result], Result], told: str
) -> None:
    piped, result, history, instruments = equal
    found = compare(piped, fault(result), history, instruments, ETH15)
    assert found is not None
    assert found.field == told
    bar = int(piped.fills[3, tapes.FILL_BAR]) if told.startswith(("fill", "fee")) else 700
    assert (found.bar, found.bar_time_ms) == (bar, int(history.times[bar]))
    assert found.left != found.right
    assert told in str(found)
    assert str(found.bar_time_ms) in str(found)


def test_of_several_faults_the_first_bar_is_named_and_of_one_bar_the_first_cause(
    equal: tuple[Result, Result, History, list[Instrument]],
) -> None:
    piped, result, history, instruments = equal
    wrong = nudge("decisions", 0, 650, tapes.TARGET, by=0.1)(nudge("observations", 1, 700, 3, by=0.1)(result))
    wrong = nudge("equity", 650, by=1.0)(wrong)
    found = compare(piped, wrong, history, instruments, ETH15)
    assert found is not None
    assert (found.bar, found.field) == (650, "equity")


def test_missing_fill_is_found(equal: tuple[Result, Result, History, list[Instrument]]) -> None:
    piped, result, history, instruments = equal
    cut = Result(**{**{name: getattr(result, name) for name in result.__struct_fields__}, "fills": result.fills[:-1]})
    found = compare(piped, cut, history, instruments, ETH15)
    assert found is not None
    assert (found.field, found.right) == ("fill", "none")


# --- the command ------------------------------------------------------------------------------------------------------


@pytest.fixture
def command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    monkeypatch.chdir(tmp_path)
    write_csv(tmp_path / "ETHUSDT-1m.csv", bars_of(["ETH/USDT"], 1_500)[0])
    return ["parity", "--data", "ETHUSDT-1m.csv", "--policy", "ema_cross", "--bars", "1200"]


def test_parity_prints_a_certificate(command: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(command) == 0
    out = capsys.readouterr().out
    assert out.startswith("EQUAL: pipeline = interpreted lane = compiled lane\n")
    assert "1,200 of ETH/USDT" in out
    assert main([*command, "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["ok"]
    assert told["bars"] == told["sums"]["decisions"] == 1_200
    assert not Path("state").exists()


def test_parity_names_the_first_difference_and_ends_with_1(
    command: list[str], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The planted fault: the pipeline's rule turns round at bar 700, the lane's does not."""
    decide, asked = EmaCross.decide, iter(range(10_000))

    def otherwise(self: EmaCross, observations: NDArray[np.float32]) -> list[Choice]:
        choices = decide(self, observations)
        return [(-target, output) for target, output in choices] if next(asked) == 700 - 299 else choices

    monkeypatch.setattr(EmaCross, "decide", otherwise)
    assert main([*command, "--json"]) == 1
    told = json.loads(capsys.readouterr().out)
    assert not told["ok"]
    assert (told["bar"], told["field"]) == (700, "target")
    assert told["left"] == repr(-float(told["right"]))
    assert Divergence(**{key: value for key, value in told.items() if key != "ok"}).sides[0] == "pipeline"


def test_parity_without_files_says_what_to_give(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["parity"]) == 2
    assert "klined parity --data FILE" in capsys.readouterr().err
