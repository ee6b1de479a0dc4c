"""Fit the hidden states that the feature `hmm(...)` filters, on training bars only; print them as declarations.

    bars before the cut ─▶ series (the engine's own) ─▶ EM from several starts ─▶ calm0 = hmm(series, numbers).p0 ...

    python -m klined_models.regimes ETHUSDT-1m.csv.gz --states 2 --train 0.7

Baum and Welch's algorithm (Rabiner 1989, section III.C) over Gaussian states with independent series. The bars are cut
into stretches that are treated as separate sequences, so that numpy runs over all of them at once. States are ordered
by the variance of the first series: state 0 is the calmest. Smoothed probabilities are used here and nowhere else; a
policy only ever sees the forward filter, which knows nothing of later bars.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from klined.cli.running import file_overrides
from klined.errors import ConfigError
from klined.feeds.columns import read_columns
from klined.feeds.timeframe import TIMEFRAMES_MS
from klined.trader.inspection import run
from klined.trader.plans import declared_plan

Array = NDArray[np.float64]
SERIES = ("log(close / close_before) / sigma(240)", "log(trange / close / sigma(240) + 0.05)")
STRETCH = 400  # bars of one sequence
ROUNDS_MAX = 200
GAIN_MIN = 1e-7  # of log-likelihood per bar: less than this, and EM has arrived
VARIANCE_MIN = 1e-6  # of a series' own variance
STARTS = 4


class Chain(Struct, frozen=True, eq=False):
    """A fitted model: `start` (K), `moves` (K, K) by row, `means` and `variances` (K, D)."""

    start: Array
    moves: Array
    means: Array
    variances: Array
    likelihood: float  # log, per bar

    def numbers(self) -> tuple[float, ...]:
        """As `hmm` takes them."""
        parts = (self.start, self.moves, self.means, self.variances)
        return tuple(float(x) for part in parts for x in part.ravel())

    def declared(self, series: Sequence[str]) -> list[str]:
        """One feature per state but the last, whose probability the others leave."""
        inside = ", ".join([*series, *map(repr, self.numbers())])
        return [f"state{k} = hmm({inside}).p{k}" for k in range(len(self.start) - 1)]


def fit(series: Array, states: int, seed: int = 0) -> Chain:
    """The likeliest of several EM runs on `series`, shape (T, D), oldest first.

    Raises:
        ConfigError: too few bars, or values that are not finite.
    """
    if len(series) < 4 * STRETCH or not np.isfinite(series).all():
        raise ConfigError(f"{len(series)} bars are too few to fit regimes, or not finite; {4 * STRETCH} are needed")
    count = len(series) // STRETCH
    stretches = series[-count * STRETCH :].reshape(count, STRETCH, -1)
    rng = np.random.default_rng(seed)
    chains = [_climbed(stretches, _guess(stretches, states, rng)) for _ in range(STARTS)]
    best = max(chains, key=lambda chain: chain.likelihood)
    order = np.argsort(best.variances[:, 0])
    moves = best.moves[np.ix_(order, order)]
    return Chain(best.start[order], moves, best.means[order], best.variances[order], best.likelihood)


def _guess(stretches: Array, states: int, rng: np.random.Generator) -> Chain:
    """States that mostly stay, of different scatter, about bars picked at random."""
    flat = stretches.reshape(-1, stretches.shape[2])
    spread = flat.var(axis=0)
    scale = np.geomspace(0.3, 3.0, states)[:, None] * rng.uniform(0.7, 1.4, (states, flat.shape[1]))
    means = flat.mean(axis=0) + 0.3 * np.sqrt(spread) * rng.normal(size=(states, flat.shape[1]))
    stay = rng.uniform(0.85, 0.99)
    moves = np.full((states, states), (1.0 - stay) / (states - 1))
    np.fill_diagonal(moves, stay)
    return Chain(np.full(states, 1.0 / states), moves, means, spread * scale, -np.inf)


def _climbed(stretches: Array, chain: Chain) -> Chain:
    """EM until it gains no more."""
    least = VARIANCE_MIN * stretches.reshape(-1, stretches.shape[2]).var(axis=0)
    for _ in range(ROUNDS_MAX):
        better = _round(stretches, chain, least)
        if better.likelihood - chain.likelihood < GAIN_MIN:
            return better
        chain = better
    return chain


def _round(stretches: Array, chain: Chain, least: Array) -> Chain:
    """One round: expected states and moves under `chain`, and the chain that makes those likeliest."""
    density, height = _densities(stretches, chain)
    ahead, scale = _forward(density, chain)
    back = _backward(density, scale, chain)
    states = ahead * back  # (B, T, K), each bar's sums to 1
    pairs = ahead[:, :-1, :, None] * chain.moves * (density[:, 1:] * back[:, 1:] / scale[:, 1:, None])[:, :, None, :]
    moves = pairs.sum(axis=(0, 1))
    weight = states.sum(axis=(0, 1))[:, None]
    means = np.einsum("btk,btd->kd", states, stretches) / weight
    away = (stretches[:, :, None, :] - means) ** 2
    variances = np.maximum(np.einsum("btk,btkd->kd", states, away) / weight, least)
    start = states[:, 0].mean(axis=0)
    likelihood = float((np.log(scale) + height).mean())
    return Chain(start / start.sum(), moves / moves.sum(axis=1, keepdims=True), means, variances, likelihood)


def _densities(stretches: Array, chain: Chain) -> tuple[Array, Array]:
    """Density of each bar in each state, (B, T, K), relative to its largest; and the logarithm of that, (B, T)."""
    off = (stretches[:, :, None, :] - chain.means) ** 2 / chain.variances
    logs = -0.5 * (off + np.log(2.0 * np.pi * chain.variances)).sum(axis=3)
    height = logs.max(axis=2)
    return np.exp(logs - height[:, :, None]), height


def _forward(density: Array, chain: Chain) -> tuple[Array, Array]:
    ahead, scale = np.empty_like(density), np.empty(density.shape[:2])
    prior = np.broadcast_to(chain.start, density[:, 0].shape)
    for t in range(density.shape[1]):
        joint = prior * density[:, t]
        scale[:, t] = joint.sum(axis=1)
        ahead[:, t] = joint / scale[:, t, None]
        prior = ahead[:, t] @ chain.moves
    return ahead, scale


def _backward(density: Array, scale: Array, chain: Chain) -> Array:
    back = np.ones_like(density)
    for t in range(density.shape[1] - 2, -1, -1):
        back[:, t] = (density[:, t + 1] * back[:, t + 1] / scale[:, t + 1, None]) @ chain.moves.T
    return back


def training_series(bars: Array, train: float, interval_ms: int, series: Sequence[str] = SERIES) -> Array:
    """The series of the first `train` of the bars, computed by the daemon's engine from those bars alone."""
    plan = declared_plan("regimes", series, interval_ms)
    values = run(plan, bars[: int(len(bars) * train)].tolist())
    return values[plan.warmup_bars :]


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="klined_models.regimes", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("file", type=Path, help="recorded bars, like ETHUSDT-1m.csv.gz")
    parser.add_argument("--states", type=int, choices=(2, 3, 4), default=2)
    parser.add_argument("--train", type=float, default=0.7, help="share of the bars, from the first, to fit on (0.7)")
    parser.add_argument("--series", action="append", help=f"1 to 3 declared series ({'; '.join(SERIES)})")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args(argv)
    named = dict(entry.split("=", 1) for entry in file_overrides([args.file], []))
    interval_ms = TIMEFRAMES_MS[named.get("market.timeframe", "1m")]
    symbol = named.get("market.symbols", "ETH/USDT")
    columns = read_columns([symbol], interval_ms, [args.file])[symbol]
    bars = np.column_stack((columns.times.astype(np.float64), columns.values))
    series = args.series or SERIES
    fitted = training_series(bars, args.train, interval_ms, series)
    chain = fit(fitted, args.states, args.seed)
    last_ms = int(bars[int(len(bars) * args.train) - 1, 0])
    lasts = ", ".join(f"{1 / (1 - p):.0f}" for p in np.diag(chain.moves))
    print(f"# {args.file.name}: {len(fitted)} bars to open time {last_ms}, seed {args.seed}")
    print(f"# log-likelihood per bar {chain.likelihood:.4f}; states last {lasts} bars")
    print("\n".join(chain.declared(series)))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
