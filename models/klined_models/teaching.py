"""Behaviour cloning: a small net learns from the cost-aware oracle what to hold, seeing its own positions.

bars ─▶ features ─▶ oracle's values ─▶ soft labels ─┐
positions: any, the oracle's ─┼─▶ pass 1 ─▶ its own positions added ─▶ pass 2
mirror images of everything  ─┘
"""

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from klined.trader.manifest import ActionMap
from klined_models import dataset
from klined_models.dataset import Bars
from klined_models.network import Adam, Network, batches
from klined_models.oracle import held_returns, oracle_path, oracle_values, soft_labels

Array = NDArray[np.float64]


class Recipe(Struct, frozen=True, kw_only=True):
    """Everything the weights depend on, besides the bars."""

    name: str = "eth15-clone"
    levels: tuple[float, ...] = (-1.0, -0.5, 0.0, 0.5, 1.0)
    taker_fee: float = 0.0004
    half_spread: float = 0.00005
    horizon_bars: int = 15
    aversion: float = 300.0  # makes the oracle take half positions and leave what does not move
    temperature: float = 0.0005  # log return; labels this close to each other are as good as equal
    change_weight: float = 1.6  # how much a change of level counts against keeping it
    deadband: float = 0.2
    max_change: float = 1.0
    hidden: tuple[int, ...] = (64, 64)
    epochs: int = 2  # of each pass
    batch: int = 1024
    rate: float = 0.003
    decay: float = 1e-4
    seed: int = 7
    grid: float = 2.0**-12  # parameters are rounded to this
    warmup_bars: int = 300

    @property
    def cost(self) -> float:
        """One way, fraction of notional."""
        return self.taker_fee + self.half_spread

    @property
    def long_only(self) -> bool:
        return min(self.levels) >= 0.0

    @property
    def purge_bars(self) -> int:
        """Bars between training and judging: what a label looks ahead and an indicator looks back."""
        return self.horizon_bars + self.warmup_bars

    @property
    def action(self) -> ActionMap:
        return ActionMap(
            kind="levels",
            levels=self.levels,
            deadband=self.deadband,
            max_change=self.max_change,
            long_only=self.long_only,
        )


class Series(Struct, frozen=True, eq=False):
    """Bars of one market with what the pupil sees and what the teacher knows."""

    data: str
    bars: Bars  # (T, 6)
    features: Array  # (T, 12)
    returns: Array  # (T,)
    values: Array  # (T, L, L)


class Lessons(Struct, frozen=True, eq=False):
    observations: NDArray[np.float32]  # (n, 15)
    labels: Array  # (n, L)
    weight: Array  # (n,)


class Pupil(Struct, frozen=True, eq=False):
    """What was learnt: observations (n, 15) to targets (n,), as the exported graph runs it."""

    network: Network
    scaler: "Scaler"
    levels: Array

    def __call__(self, rows: NDArray[np.float32]) -> Array:
        return np.asarray(self.levels[self.network.choose(self.scaler(rows))])


class Scaler(Struct, frozen=True, eq=False):
    """Mean and inverse deviation of each slot; a slot that never moved in training gets 0 and is not heard."""

    mean: Array
    scale: Array

    def __call__(self, rows: NDArray[np.float32]) -> Array:
        return np.asarray((rows - self.mean) * self.scale)


def series(data: str, bars: Bars, recipe: Recipe) -> Series:
    """Run the engine and the oracle over `bars`; warm-up is cut off."""
    bars, features = dataset.warm(bars, dataset.market_features(bars), recipe.warmup_bars)
    returns = held_returns(bars[:, 1])
    moves = np.diff(np.log(bars[:, 4]), prepend=np.log(bars[0, 4]))
    values = oracle_values(
        returns, np.array(recipe.levels), recipe.cost, recipe.horizon_bars, _variance(moves), recipe.aversion
    )
    return Series(data, bars, features, returns, values)


def lessons(parts: list[Series], own: list[tuple[Array, Array]], recipe: Recipe) -> Lessons:
    """Pairs of observation and soft label: positions at random, the oracle's and, once there are any, the policy's.

    Every lesson comes with its mirror image, so that the net owes nothing to the direction the training market took;
    not so for a long-only map, which has no mirror image.
    """
    levels = np.array(recipe.levels)
    rows, labels = [], []
    for index, part in enumerate(parts):
        random = np.random.Generator(np.random.Philox(key=[recipe.seed, index]))
        count = len(part.features)
        anywhere = random.integers(0, len(levels), count)
        flat = int(np.abs(levels).argmin())
        taught = np.concatenate([[flat], oracle_path(part.values, flat)[:-1]])
        for held in (anywhere, taught):
            before = random.integers(0, len(levels), count)
            rows.append(dataset.observations(part.features, levels[held], 0.5 * (levels[held] - levels[before])))
            labels.append(soft_labels(part.values[np.arange(count), held], recipe.temperature))
        if own:
            position, change = own[index]
            held = np.abs(position[:, None] - levels).argmin(axis=1)
            rows.append(dataset.observations(part.features, position, change))
            labels.append(soft_labels(part.values[np.arange(count), held], recipe.temperature))
    seen, taught_labels = np.concatenate(rows), np.concatenate(labels)
    if not recipe.long_only:
        seen = np.concatenate([seen, dataset.mirrored(seen)])
        taught_labels = np.concatenate([taught_labels, taught_labels[:, ::-1]])
    return _weighed(seen, taught_labels, levels, recipe.change_weight)


def train(parts: list[Series], recipe: Recipe) -> Pupil:
    """Two passes; the second adds the positions that the first one's net gets itself into (DAgger, Ross 2011)."""
    network = Network((dataset.DIM, *recipe.hidden, len(recipe.levels)), recipe.seed)
    adam = Adam(network, recipe.decay)
    taught = lessons(parts, [], recipe)
    scaler = _scaler(taught.observations)
    _epochs(network, adam, taught, scaler, recipe, first=0)
    own = [_roll(network, scaler, part.features, recipe) for part in parts]
    _epochs(network, adam, lessons(parts, own, recipe), scaler, recipe, first=recipe.epochs)
    network.round_to(recipe.grid)
    return Pupil(network, scaler, np.array(recipe.levels))


def _weighed(seen: NDArray[np.float32], labels: Array, levels: Array, change_weight: float) -> Lessons:
    """Count changes of level `change_weight` times.

    The oracle keeps its position on two bars out of three; a pupil that always keeps it is right as often, and idle.
    """
    held = np.abs(seen[:, [dataset.POSITION]] - levels).argmin(axis=1)
    tilted = labels * change_weight
    tilted[np.arange(len(held)), held] = labels[np.arange(len(held)), held]
    weight = tilted.sum(axis=1)
    return Lessons(seen, tilted / weight[:, None], weight)


def _epochs(network: Network, adam: Adam, taught: Lessons, scaler: Scaler, recipe: Recipe, first: int) -> None:
    """`recipe.epochs` over the lessons; the rate falls linearly to zero over both passes."""
    inputs = scaler(taught.observations)
    steps = max(len(inputs) // recipe.batch, 1)
    for epoch in range(first, first + recipe.epochs):
        for step, rows in enumerate(batches(len(inputs), recipe.batch, epoch, recipe.seed)):
            _, gradients = network.gradients(inputs[rows], taught.labels[rows], taught.weight[rows])
            done = (epoch + step / steps) / (2 * recipe.epochs)
            adam.step(gradients, recipe.rate * (1.0 - done))


def _roll(network: Network, scaler: Scaler, features: Array, recipe: Recipe) -> tuple[Array, Array]:
    """Positions and half changes that the net sees when it is let go, in 64 stretches side by side; shapes (T,)."""
    lanes, levels = 64, np.array(recipe.levels)
    length = -(-len(features) // lanes)
    position, change = np.zeros(lanes * length), np.zeros(lanes * length)
    held, last = np.zeros(lanes), np.zeros(lanes)
    starts = np.minimum(np.arange(lanes) * length, len(features) - 1)
    for step in range(length):
        at = np.minimum(starts + step, len(features) - 1)
        position[starts + step], change[starts + step] = held, last
        wanted = levels[network.choose(scaler(dataset.observations(features[at], held, last)))]
        moved = np.clip(wanted - held, -recipe.max_change, recipe.max_change)
        moved[np.abs(moved) < recipe.deadband] = 0.0
        held = held + moved
        last = np.where(moved == 0.0, last, 0.5 * moved)
    return position[: len(features)], change[: len(features)]


def _scaler(rows: NDArray[np.float32]) -> Scaler:
    mean = rows.mean(axis=0, dtype=np.float64)
    deviation = rows.std(axis=0, dtype=np.float64)
    heard = deviation > 1e-6
    return Scaler(np.where(heard, mean, 0.0), np.where(heard, 1.0 / np.where(heard, deviation, 1.0), 0.0))


def _variance(moves: Array) -> Array:
    """Causal EWMA (lambda 0.94) of squared log returns."""
    out, level = np.empty(len(moves)), float((moves[:60] ** 2).mean())
    for t, square in enumerate((moves**2).tolist()):
        level += 0.06 * (square - level)
        out[t] = level
    return out
