"""What lanes play on: bars, and all that follows from bars alone, computed once by the daemon's own kernels.

    series ─▶ gauges (n, T, NG), market part of the observation (T, width), correlations ─▶ Scene, shared by all lanes

Series lie one after the other; everything starts anew with each. Lanes only read, so one scene serves any number of
environments of a process.
"""

from collections.abc import Mapping
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from klined.backtest.history import Floats, History
from klined.backtest.lanes import Tape, features_of
from klined.domain import Instrument
from klined.errors import ConfigError
from klined.kernels import assembly, gauges, jit, outlook
from klined.kernels import layout as at
from klined.kernels.observe import FLOAT32_MAX
from klined.kernels.outlook import STRIDE
from klined.kernels.rows import Block
from klined.trader.plans import ACCOUNT, ETH15, MARKET, Plan, declared_plan
from klined.trader.presets import REGIME
from klined.world.filters import default_instrument
from klined_models.envs.bars import Data, series_of
from klined_models.envs.pages import lined
from klined_models.envs.settings import BLOCKS, Settings

Singles = NDArray[np.float32]
MICROSTRUCTURE = ("spread", "imbalance", "flow")
"""Columns of that block where no data is given: zeros, and the mask says so."""
CODES = {"position": assembly.POSITION, "position_change": assembly.POSITION_CHANGE}


class Part(NamedTuple):
    """One block of the observation: where it lies in the flat row, and its shape for all symbols."""

    begin: int
    shape: tuple[int, ...]

    @property
    def end(self) -> int:
        return self.begin + int(np.prod(self.shape))


class Scene:
    """Prepared series. `first` and `last` tell, per series, the first and last bar at which an episode may start."""

    def __init__(self, settings: Settings, data: Data = None, *, kernels: jit.Kernels | None = None) -> None:
        """Raises: ConfigError: bars that cannot be, or too few of them."""
        self.settings, self.plan = settings, settings.features
        self.kernels = kernels or jit.compiled()
        self.plain = self.kernels.name == "interpreted"
        self.instruments = _instruments(settings)
        self.series = series_of(data, self.instruments, settings.interval_ms)
        self.n = len(self.instruments)
        ends = np.cumsum([len(history.times) for history in self.series])
        self.spans = [(int(end) - len(history.times), int(end)) for history, end in zip(self.series, ends, strict=True)]
        self.bars: Floats = np.ascontiguousarray(np.concatenate([history.bars for history in self.series], axis=1))
        self.times = np.concatenate([history.times for history in self.series])
        self.rates = self._rates()
        self.count = self.bars.shape[1]
        self.first, self.last = self._starts()
        self.features = np.concatenate([self._features(self.plan, history) for history in self.series], axis=1)
        self._check_microstructure()
        self.gauges, self.correlations = self._gauges()
        self.parts, market, self.slots = self._observation()
        self.width = market.shape[1]
        self.market, self.gauges, self.tape = lined([market, self.gauges, self.bars])

    def __deepcopy__(self, memo: dict[int, Any]) -> "Scene":
        """Nobody writes to it, so copies of an environment's arguments share it."""
        return self

    @property
    def dim(self) -> int:
        """Length of one flat observation."""
        return max(part.end for part in self.parts.values())

    @cached_property
    def starts(self) -> NDArray[np.int64]:
        """How many starts there are up to and including each series."""
        return np.cumsum(self.last - self.first + 1)

    def episodes(self, numbers: NDArray[np.float64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Start and end bar of the episodes that `numbers` in [0, 1) draw."""
        index = np.minimum((numbers * self.starts[-1]).astype(np.int64), self.starts[-1] - 1)
        which = np.searchsorted(self.starts, index, "right")
        begun = self.last[which] - (self.starts[which] - 1 - index)
        if self.settings.start == "first":
            begun = self.first[which]
        ends = np.array([end - 1 for _, end in self.spans])[which]
        length = self.settings.episode_bars
        return begun, np.minimum(begun + length, ends) if length else ends

    @cached_property
    def states(self) -> Floats:
        """Engine state of every symbol after each STRIDE-th bar, (n, T / STRIDE, state_size)."""
        states = np.zeros((self.n, -(-self.count // STRIDE), self.plan.state_size))
        step = self.kernels.features.eth15_history
        for i in range(self.n):
            for begin, end in self.spans:
                state, t = Block(1, self.plan.state_size), begin
                while t < end:
                    until = min(end, -(-t // STRIDE) * STRIDE + 1)
                    rows = np.empty((until - t, self.plan.market_dim))
                    if self.plain:
                        step(state.row[0], self.bars[i, t:until].tolist(), Tape(rows))
                    else:
                        step(state.array[0], self.bars[i, t:until], rows)
                    if (until - 1) % STRIDE == 0:
                        states[i, (until - 1) // STRIDE] = state.array[0]
                    t = until
        return states

    def _rates(self) -> Floats:
        if all(history.rates.shape[1] == 0 for history in self.series):
            return np.zeros((self.n, 0, 2))
        return np.concatenate(
            [
                history.rates if history.rates.shape[1] else np.zeros((self.n, len(history.times), 2))
                for history in self.series
            ],
            axis=1,
        )

    def _starts(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        settings = self.settings
        regime = regime_plan(settings).warmup_bars if "regime" in settings.observation.blocks else 0
        limits = max(terms.limits.warmup_bars for terms in settings.terms)
        warmup = max(limits, self.plan.warmup_bars, regime, settings.observation.window_bars, 2)
        needed = warmup + (settings.episode_bars or 1)
        first = np.array([begin + warmup - 1 for begin, _ in self.spans])
        last = np.array([end - 1 - (settings.episode_bars or 1) for _, end in self.spans])
        for (begin, end), least, most in zip(self.spans, first, last, strict=True):
            if most < least:
                raise ConfigError(
                    f"a series of {end - begin} bars is too short: warm-up takes {warmup} and an episode "
                    f"{settings.episode_bars or 1}, so {needed} are needed; give more bars or a shorter episode_bars"
                )
        return first, last

    def _features(self, plan: Plan, history: History) -> Floats:
        return features_of(history, plan, self.kernels)

    def _gauges(self) -> tuple[Floats, Floats]:
        """G and C of all bars."""
        told = np.zeros((self.n, self.count, gauges.NG))
        shared = np.zeros((self.count, self.n, self.n)) if self.n > 1 else np.zeros((0, 1, 1))
        bars = self.bars.tolist() if self.plain else self.bars
        for begin, end in self.spans:
            positions, common = Block(self.n, at.NQ), Block(self.n, self.n)
            self.kernels.gauges.gauge_history(
                positions.row if self.plain else positions.array,
                common.row if self.plain else common.array,
                bars,
                float(self.settings.interval_ms),
                begin,
                end,
                Tape(told) if self.plain else told,
                Tape(shared) if self.plain else shared,
            )
        with np.errstate(invalid="ignore"):
            told[..., gauges.G_OBS_OK] = np.abs(self.features).sum(axis=2) <= FLOAT32_MAX
        return told, shared if self.n > 1 else np.zeros((1, 1, 1))

    def _observation(self) -> tuple[dict[str, Part], Singles, NDArray[np.int64]]:
        """Where each block lies, the market part of every bar, and the slots in it that lanes fill themselves."""
        parts: dict[str, Part] = {}
        columns: list[Floats] = []
        slots: list[tuple[int, int, int]] = []
        width = 0
        for block in BLOCKS:
            if block not in self.settings.observation.blocks:
                continue
            match block:
                case "window":
                    shape = (self.n, self.settings.observation.window, outlook.WINDOW_COLUMNS)
                    parts[block] = Part(width, shape[1:] if self.n == 1 else shape)
                case "portfolio":
                    parts[block] = Part(width, (self.n * outlook.SLOTS + outlook.ACCOUNT_SLOTS,))
                case _:
                    values = self._static(block)
                    parts[block] = Part(width, values.shape[2:] if self.n == 1 else (self.n, values.shape[2]))
                    columns.append(values.transpose(1, 0, 2).reshape(self.count, -1) if self.n > 1 else values[0])
            if block == "indicators":
                slots = self._slots()
            width = parts[block].end
        market = np.concatenate(columns, axis=1) if columns else np.zeros((self.count, 0))
        with np.errstate(over="ignore"):
            rows = np.ascontiguousarray(market.astype(np.float32))
        return parts, rows, np.array(slots, dtype=np.int64).reshape(-1, 3)

    def _slots(self) -> list[tuple[int, int, int]]:
        looped = self.settings.engine == "loop"
        if looped and self.plan.name != ETH15.name:
            raise ConfigError(f"engine 'loop' steps plan {ETH15.name}, not {self.plan.name}; use engine 'lookup'")
        codes, market = [], 0
        for j, feature in enumerate(self.plan.features):
            if feature.source == ACCOUNT:
                codes.append((j, self.plan.slots[j] if self.plan.slots else CODES[feature.name]))
            elif feature.source == MARKET:
                if looped:
                    codes.append((j, market))
                market += 1
        return [(i * self.plan.dim + j, i, code) for i in range(self.n) for j, code in codes]

    def _static(self, block: str) -> Floats:
        """One block of all symbols and bars, (n, T, columns)."""
        if block == "indicators":
            values = np.zeros((self.n, self.count, self.plan.dim))
            market = [j for j, feature in enumerate(self.plan.features) if feature.source == MARKET]
            order = [self.plan.slots[j] for j in market] if self.plan.slots else list(range(len(market)))
            values[..., market] = self.features[..., order]
            for j, feature in enumerate(self.plan.features):
                if feature.source not in {ACCOUNT, MARKET}:
                    values[..., j] = self._scores()[..., 0]
            return values
        if block == "sentiment":
            return self._scores()
        if block == "regime":
            plan = regime_plan(self.settings)
            told = np.concatenate([self._features(plan, history) for history in self.series], axis=1)
            return np.where(np.isfinite(told), told, 0.0)
        return self._microstructure()

    def _scores(self) -> Floats:
        """(score, 1) where the symbol's signal had one available at the close, (0, 0) elsewhere."""
        scores = np.zeros((self.n, self.count, 2))
        signals = self.settings.signals
        if signals is None:
            return scores
        for i, instrument in enumerate(self.instruments):
            signal = signals.get(instrument.symbol) if isinstance(signals, Mapping) else signals
            if signal is None:
                continue
            closes: list[int] = (self.times + self.settings.interval_ms).tolist()
            for t, close_ms in enumerate(closes):
                score = signal.score(instrument.symbol, close_ms)
                if score is not None:
                    scores[i, t] = min(1.0, max(-1.0, score)), 1.0
        return scores

    def _check_microstructure(self) -> None:
        given = self.settings.microstructure
        if given is not None and (given.ndim != 3 or given.shape[:2] != (self.n, self.count)):
            raise ConfigError(
                f"microstructure of shape {given.shape} does not fit {self.n} symbols and {self.count} bars: "
                "(n, T, columns) is needed, NaN where there was no data"
            )

    def _microstructure(self) -> Floats:
        given = self.settings.microstructure
        if given is None:
            return np.zeros((self.n, self.count, len(MICROSTRUCTURE) + 1))
        there = np.isfinite(given).all(axis=2, keepdims=True)
        return np.concatenate((np.where(there, np.clip(given, -1.0, 1.0), 0.0), there.astype(np.float64)), axis=2)


def regime_plan(settings: Settings) -> Plan:
    """Four features that tell what kind of market this is: those of `eth44`."""
    return declared_plan("regime", REGIME, settings.interval_ms)


def _instruments(settings: Settings) -> tuple[Instrument, ...]:
    if settings.instruments is None:
        return tuple(default_instrument(symbol, settings.market_kind) for symbol in settings.symbols)
    return tuple(settings.instruments)


def bounds_of(plan: Plan) -> tuple[Floats, Floats]:
    """Lowest and highest value of each of the plan's features."""
    low = [-np.inf if feature.low is None else feature.low for feature in plan.features]
    high = [np.inf if feature.high is None else feature.high for feature in plan.features]
    return np.array(low), np.array(high)


def scene_of(data: "Scene | Data", settings: Settings, kernels: jit.Kernels | None) -> Scene:
    """`data` as a scene; one that is given must have been prepared under the same settings."""
    if not isinstance(data, Scene):
        return Scene(settings, data, kernels=kernels)
    if data.settings != settings:
        raise ConfigError("the scene was prepared under other settings; use Scene.settings, or give the bars")
    return data
