"""One lane: the same bytes interpreted and compiled, alone and among many, step by step and in one call."""

from collections.abc import Sequence
from math import isnan, nan

import numpy as np
import pytest
from numpy.typing import NDArray

from backtest.markets import STOPS, bars_of, history, holed, perps, spot, terms
from klined.backtest.history import History
from klined.backtest.lanes import EmaCross, Policy, Result, Terms, features_of, run
from klined.domain import Instrument, Reason
from klined.errors import ConfigError
from klined.kernels import jit, lane, tapes
from klined.kernels import layout as at
from klined.policies import rules
from klined.ports import Choice
from klined.trader.plans import ETH15, ORIGINAL

COUNT = 2_500
CROSS = EmaCross()


def same(left: Result, right: Result) -> None:
    """Every byte of both."""
    for name in left.__struct_fields__:
        assert getattr(left, name).tobytes() == getattr(right, name).tobytes(), name


class Markets:
    """Histories by name, each with its instruments and limits; made once."""

    def __init__(self) -> None:
        three, eth = ("BTC/USDT", "ETH/USDT", "SOL/USDT"), ("ETH/USDT",)
        swaps = tuple(f"{symbol}:USDT" for symbol in three)
        bars, triple, swap = bars_of(eth, COUNT), bars_of(three, COUNT), bars_of(swaps, COUNT)
        self.named: dict[str, tuple[History, list[Instrument], Terms]] = {
            "spot": (history(bars, spot(*eth)), spot(*eth), terms(long_only=True)),
            "stops": (history(bars, spot(*eth)), spot(*eth), terms(long_only=True, **STOPS)),
            "defaults": (history(bars, spot(*eth)), spot(*eth), terms(long_only=True, max_day_loss=0.02, max_losses=3)),
            "perp": (history(swap[1:2], perps(swaps[1])), perps(swaps[1]), terms(max_exposure=2.0, rebalance_band=0.2)),
            "three": (history(holed(triple, 1), spot(*three)), spot(*three), terms(long_only=True, max_exposure=0.3)),
            "three perps": (history(holed(swap, 2), perps(*swaps)), perps(*swaps), terms(max_exposure=0.4)),
        }


MARKETS = Markets().named
NAMES = list(MARKETS)


def go(name: str, policy: Policy = CROSS, kernels: jit.Kernels | None = None, end: int = COUNT) -> Result:
    market, instruments, on = MARKETS[name]
    cut = History(
        market.interval_ms, np.ascontiguousarray(market.bars[:, :end]), market.rates[:, :end], market.times[:end]
    )
    (result,) = run(cut, instruments, [on], policy, kernels=kernels, record=True)
    return result


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(
    "policy", [CROSS, rules.Momentum(enter=1.0), rules.MeanReversion()], ids=lambda p: type(p).__name__
)
def test_compiled_lane_leaves_the_bytes_of_the_interpreted_one(name: str, policy: Policy) -> None:
    plain = go(name, policy, jit.interpreted(), 1_200)
    same(plain, go(name, policy, jit.compiled(), 1_200))
    assert len(plain.fills) > 5


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_lane_reads_nothing_outside_its_rows(name: str) -> None:
    same(go(name, kernels=jit.interpreted(), end=900), go(name, kernels=jit.compiled(boundscheck=True), end=900))


@pytest.mark.parametrize("name", NAMES)
def test_rule_in_the_lane_is_the_rule_asked_bar_by_bar(name: str) -> None:
    same(go(name), go(name, rules.EmaCross()))


@pytest.mark.parametrize("name", NAMES)
def test_targets_known_beforehand_come_to_what_the_policy_that_gave_them_came_to(name: str) -> None:
    asked = go(name, rules.Momentum(enter=1.0))
    same(asked, go(name, np.ascontiguousarray(asked.decisions[..., tapes.TARGET])))


@pytest.mark.parametrize("name", NAMES)
def test_what_comes_later_changes_nothing_before(name: str) -> None:
    whole, part = go(name), go(name, end=1_500)
    assert part.equity.tobytes() == whole.equity[:1_500].tobytes()
    assert part.decisions.tobytes() == np.ascontiguousarray(whole.decisions[:, :1_500]).tobytes()
    assert part.fills.tobytes() == whole.fills[whole.fills[:, tapes.FILL_BAR] < 1_500].tobytes()


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("policy", [CROSS, rules.Momentum(enter=1.0)], ids=["rule", "asked"])
def test_each_of_many_lanes_is_the_lane_alone(name: str, policy: Policy) -> None:
    """Features are computed once for all of them, and bar by bar for one."""
    market, instruments, on = MARKETS[name]
    others = [on, terms(max_exposure=0.1, deadband=0.3), terms(max_exposure=1.0, balance=500.0)]
    many = run(market, instruments, others, policy, record=True)
    for result, own in zip(many, others, strict=True):
        same(result, run(market, instruments, [own], policy, record=True)[0])
    assert many[0].equity[-1] != many[1].equity[-1]


def test_one_symbol_through_the_way_of_many_comes_to_the_same() -> None:
    """A bar that never came, before the first: then the history is no longer one of whole bars."""
    market, instruments, on = MARKETS["perp"]
    gone = np.concatenate([np.full((1, 1, 6), np.nan), market.bars], axis=1)
    rates = np.concatenate([np.zeros((1, 1, 2)), market.rates], axis=1)
    times = np.concatenate([market.times[:1] - market.interval_ms, market.times])
    (alone,) = run(market, instruments, [on], CROSS, record=True)
    (holed_one,) = run(History(market.interval_ms, gone, rates, times), instruments, [on], CROSS, record=True)
    assert holed_one.equity[1:].tobytes() == alone.equity.tobytes()
    assert holed_one.decisions[:, 1:].tobytes() == alone.decisions.tobytes()
    assert holed_one.fills[:, 1:].tobytes() == alone.fills[:, 1:].tobytes()


@pytest.mark.parametrize("name", NAMES)
def test_money_is_accounted_for(name: str) -> None:
    _, instruments, on = MARKETS[name]
    result = go(name)
    a, q = result.account, result.positions
    held = [float(i.lot) * row[at.LOTS] * (row[at.MARK] - row[at.ENTRY]) for i, row in zip(instruments, q, strict=True)]
    assert a[at.EQUITY] - on.balance == pytest.approx(a[at.REALISED] + sum(held) - a[at.FEES] + a[at.FUNDING], abs=1e-6)
    assert a[at.FEES] == pytest.approx(result.fills[:, tapes.FILL_FEE].sum())
    settled = result.fills[:, tapes.FILL_SETTLED]
    assert np.isfinite(settled).any()
    assert (a[at.FUNDING] != 0.0) == ("perp" in name)
    lots = [
        result.fills[result.fills[:, tapes.FILL_SYMBOL] == i, tapes.FILL_LOTS].sum() for i in range(len(instruments))
    ]
    assert lots == q[:, at.LOTS].tolist()


def test_stops_and_limits_have_something_to_say_in_these_markets() -> None:
    reasons = {
        name: {Reason(int(why)) for why in np.unique(go(name).decisions[..., tapes.REASON]) if not isnan(why)}
        for name in NAMES
    }
    assert Reason.EXIT in reasons["stops"]
    assert {Reason.LOSSES_IN_ROW, Reason.DAY_LOSS} & reasons["defaults"]
    assert Reason.CLIPPED in reasons["spot"]
    assert Reason.GAP in reasons["three"]
    causes = np.unique(go("stops").decisions[..., tapes.CAUSE])
    assert len(set(causes.tolist()) & {1.0, 2.0, 3.0, 4.0, 5.0}) >= 3


def test_liquidated_lane_halts_and_trades_no_more() -> None:
    market, instruments, _ = MARKETS["perp"]
    bars = market.bars.copy()
    bars[0, 600:, 1:5] *= 0.6
    on = terms(max_exposure=10.0, min_liquidation_atr=0.0, min_liquidation_distance=0.0)
    (result,) = run(
        History(market.interval_ms, bars, market.rates, market.times),
        instruments,
        [on],
        np.ones((1, COUNT)),
        record=True,
    )
    assert result.fills[-1, tapes.FILL_KIND] == 1.0
    assert result.fills[-1, tapes.FILL_BAR] == 600
    assert result.account[at.HALT] == Reason.LIQUIDATION
    assert result.positions[0, at.LOTS] == 0.0
    assert set(result.decisions[0, 600:, tapes.REASON].tolist()) == {float(Reason.HALTED)}


@pytest.mark.parametrize("macd", [0.5, -0.5, 0.0, -0.0, 1e-45, -1e-45, nan])
@pytest.mark.parametrize("rule", [rules.EmaCross(), rules.EmaCross(size=0.4), rules.EmaCross(long_only=True)])
def test_ema_cross_of_the_kernels_is_the_policy_of_that_name(macd: float, rule: rules.EmaCross) -> None:
    seen = np.zeros((1, 15), np.float32)
    seen[0, lane.MACD] = macd
    for kernels in (jit.interpreted(), jit.compiled()):
        wanted = kernels.lane.ema_cross(float(seen[0, lane.MACD]), rule.long, rule.short)
        given = rule.decide(seen)[0][0]
        assert wanted == given or (isnan(wanted) and isnan(given))


@pytest.mark.parametrize("plan", [ETH15, ORIGINAL], ids=["eth15", "original"])
def test_features_come_out_alike_in_both_builds_and_stay_where_no_bar_came(plan: object) -> None:
    market, *_ = MARKETS["three"]
    features = features_of(market, plan, jit.interpreted())  # type: ignore[arg-type]  # parametrised
    assert features.tobytes() == features_of(market, plan, jit.compiled()).tobytes()  # type: ignore[arg-type]
    missing = np.flatnonzero(np.isnan(market.bars[1, 200:, 4]))[0] + 200
    assert features[1, missing].tolist() == features[1, missing - 1].tolist()


def test_policy_is_asked_only_when_every_symbol_is_warm() -> None:
    class Counting:
        asked = 0

        def decide(self, observations: NDArray[np.float32]) -> Sequence[Choice]:
            self.asked += 1
            assert np.isfinite(observations).all()
            return [(0.0, ())] * len(observations)

    counting = Counting()
    result = go("spot", counting)
    assert counting.asked == COUNT - 299
    assert np.isnan(result.decisions[0, :299, tapes.TARGET]).all()
    assert not np.isnan(result.decisions[0, 299:, tapes.TARGET]).any()


def test_what_does_not_fit_is_refused_with_a_sentence() -> None:
    market, instruments, on = MARKETS["spot"]
    with pytest.raises(ConfigError, match="1 symbols, there are 2 instruments"):
        run(market, instruments * 2, [on], CROSS)
    with pytest.raises(ConfigError, match=r"targets of shape \(1, 7\)"):
        run(market, instruments, [on], np.zeros((1, 7)))
    with pytest.raises(ConfigError, match="reads plan eth15, not original"):
        run(market, instruments, [on], CROSS, plan=ORIGINAL)


def test_nothing_is_recorded_unless_asked_for() -> None:
    market, instruments, on = MARKETS["spot"]
    (result,) = run(market, instruments, [on], CROSS)
    assert result.decisions.shape[1] == result.observations.shape[1] == 0
    assert result.equity.tobytes() == go("spot").equity.tobytes()
