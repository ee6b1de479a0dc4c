"""Verbs that start a daemon: run, demo, replay."""

import argparse
import re
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from klined.cli.options import load_settings, overrides
from klined.cli.output import emit
from klined.errors import ConfigError

if TYPE_CHECKING:  # as in options
    from klined.config.settings import Settings

_NAMED = re.compile(
    r"(?P<base>[A-Z0-9]{2,}?)(?P<quote>USDT|USDC|FDUSD|BUSD|BTC|ETH|EUR)(?:[-_](?P<timeframe>\d+[smhd]))?(?P<rest>.*)"
)
"""ETHUSDT-1m_um_2025-05.csv.gz: what a file's name tells."""


def run_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--live", action="store_true", help="send real orders; mode.live must be true as well")
    parser.add_argument(
        "--accept-exchange", action="store_true", help="after klined state restore: what the exchange says is right"
    )


def run(args: argparse.Namespace) -> int:
    settings = load_settings(args, needs_file=True)
    if settings.mode.live and not args.live:
        raise ConfigError(f"mode.live is true ({settings.origin('mode.live')}); to send real orders: klined run --live")
    if args.live and not settings.mode.live:
        raise ConfigError("--live needs mode.live = true in the settings; for paper trading leave --live out")
    from klined.runtime.process import run as run_daemon  # noqa: PLC0415 - numpy and onnxruntime, only for this

    def reread(model: str | None) -> "Settings":
        if model is not None:
            args.set = [*args.set, "policy.name=onnx", f"policy.model={model}"]
        return load_settings(args, needs_file=True)

    return run_daemon(settings, reread, accept_exchange=args.accept_exchange)


def demo_arguments(parser: argparse.ArgumentParser) -> None:
    _play_arguments(parser)
    parser.add_argument("--seed", type=int, metavar="S", help="another market; the same seed decides the same (7)")


def demo(args: argparse.Namespace) -> int:
    """A generated market in a state directory of its own, always from the beginning; klined.toml is not read."""
    from klined.config.load import load  # noqa: PLC0415

    own = [
        "runtime.name=demo",
        *_play_overrides(args),
        *([f"market.seed={args.seed}"] if args.seed is not None else []),
    ]
    settings = load(None, overrides(args, own))
    from klined.runtime.process import run_demo  # noqa: PLC0415

    return run_demo(settings, partial(print, flush=True))


def replay_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "files", nargs="*", type=Path, metavar="FILE", help="bars (CSV) or recorded frames; plain or .gz"
    )
    parser.add_argument("--symbol", action="append", default=[], help="ETH/USDT; else as the files are named")
    parser.add_argument("--timeframe", help="1m, 5m, 1h, ...; else as the files are named")
    parser.add_argument("--kind", choices=("spot", "perp"), help="else as the files are named: _um_ is perp")
    _play_arguments(parser)


def replay(args: argparse.Namespace) -> int:
    """Recorded bars through the very stages of `run`, in virtual time, on paper."""
    own = ["runtime.name=replay", "market.exchange=sim", "market.speed=0", "mode.live=false", *_play_overrides(args)]
    settings = load_settings(args, [*own, *file_overrides(args.files, args.symbol, args.timeframe, args.kind)])
    if not settings.market.files:
        raise ConfigError("replay what? klined replay FILE..., or set market.files")
    from klined.runtime.process import run_replay  # noqa: PLC0415

    told: dict[str, Any] = {}
    code = run_replay(settings, told)
    if args.json:
        emit(told)
    else:
        print("\n".join(_played(told)))
    return code


def _played(told: Mapping[str, Any]) -> Iterator[str]:
    """What a replay came to, line by line."""
    if "pnl" in told:
        yield f"  result    {told['pnl']:+,.2f} ({told['return_fraction']:+.2%}) after {told['fees']:,.2f} fees"
        yield f"  trades    {told['trades']} fills; {'flat' if told['flat'] else 'NOT FLAT: ' + str(told['left'])}"
    if dropped := told.get("dropped"):
        yield f"  left out  {', '.join(f'{count} {reason}' for reason, count in dropped.items())}"
    if gaps := told.get("gaps"):
        yield "  gaps      " + ", ".join(f"{symbol}: {n} ({bars} bars)" for symbol, (n, bars) in gaps.items())
    yield f"  speed     {told['batches']:,} batches in {told['seconds']:.1f} s, {told['batches_per_s']:,.0f} a second"
    yield f"  digest    {told['digest']}"
    yield f"  report    {told['report']}"


def file_overrides(
    files: Sequence[Path], symbols: Sequence[str], timeframe: str | None = None, kind: str | None = None
) -> list[str]:
    """Settings of the market that these files hold, as their names tell where nothing else does."""
    if not files:
        return []
    named = [found for path in files if (found := _NAMED.match(path.name))]
    kind = kind or ("perp" if any("_um" in found["rest"] for found in named) else None)
    timeframe = timeframe or next((found["timeframe"] for found in named if found["timeframe"]), None)
    pairs = [f"{found['base']}/{found['quote']}" for found in named]
    if kind == "perp":
        pairs = [f"{pair}:{pair.partition('/')[2]}" for pair in pairs]
    symbols = symbols or list(dict.fromkeys(pairs))
    return [
        "market.feed=recorded",
        f"market.files={','.join(map(str, files))}",
        *([f"market.symbols={','.join(symbols)}"] if symbols else []),
        *([f"market.timeframe={timeframe}"] if timeframe else []),
        *([f"market.kind={kind}"] if kind else []),
    ]


def _play_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--bars", type=int, metavar="N", help="end after N bars, flat")
    parser.add_argument("--speed", type=float, metavar="X", help="bars per second; 0: as fast as possible")
    parser.add_argument(
        "--scenario", action="append", metavar="NAME", help="trouble, like flash_crash:start=600; klined market list"
    )
    parser.add_argument("--policy", metavar="NAME", help="onnx, a rule such as ema_cross, or a .onnx file")


def policy_overrides(policy: str | None) -> list[str]:
    """Settings of the policy that `--policy` names: a .onnx file or an entry point."""
    if not policy:
        return []
    return ["policy.name=onnx", f"policy.model={policy}"] if policy.endswith(".onnx") else [f"policy.name={policy}"]


def _play_overrides(args: argparse.Namespace) -> list[str]:
    return [
        *([f"market.bars={args.bars}"] if args.bars is not None else []),
        *([f"market.speed={args.speed}"] if args.speed is not None else []),
        *([f"market.scenarios={' '.join(args.scenario)}"] if args.scenario else []),
        *policy_overrides(args.policy),
    ]
