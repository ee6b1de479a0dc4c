"""Verb `parity`: prove that lanes, on which policies are trained and searched, decide what the daemon decides."""

import argparse
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from klined.cli.options import load_settings
from klined.cli.output import emit
from klined.cli.running import file_overrides, policy_overrides
from klined.errors import ConfigError

if TYPE_CHECKING:
    from klined.backtest.certificate import Certificate

DIVERGED = 1


def parity_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--data", action="append", type=Path, default=[], metavar="FILE", help="bars (CSV); repeat it for more symbols"
    )
    parser.add_argument("--symbol", action="append", default=[], help="ETH/USDT; else as the files are named")
    parser.add_argument("--timeframe", help="1m, 5m, 1h, ...; else as the files are named")
    parser.add_argument("--kind", choices=("spot", "perp"), help="else as the files are named: _um_ is perp")
    parser.add_argument("--policy", metavar="NAME", help="onnx, a rule such as ema_cross, or a .onnx file")
    parser.add_argument("--sandbox", action="store_true", help="and as `klined run`, told by the sandbox's websockets")
    parser.add_argument("--bars", type=int, metavar="N", help="the first N bars only")


def parity(args: argparse.Namespace) -> int:
    """A certificate, or the first bar and field where the ways part."""
    own = [
        *("runtime.name=parity", "market.exchange=sim", "market.speed=0", "market.history_bars=0", "mode.live=false"),
        *policy_overrides(args.policy),
        *([f"market.bars={args.bars}"] if args.bars is not None else []),
        *file_overrides(args.data, args.symbol, args.timeframe, args.kind),
    ]
    settings = load_settings(args, own)
    if not settings.market.files:
        raise ConfigError("parity over what? klined parity --data FILE, or set market.files")
    import msgspec  # noqa: PLC0415 - with the rest, only for this

    from klined.backtest.certificate import certify  # noqa: PLC0415
    from klined.backtest.parity import Divergence  # noqa: PLC0415
    from klined.runtime import log  # noqa: PLC0415

    log.configure("error", "auto")  # a live feed has much to say
    found = certify(settings, sandbox=args.sandbox)
    equal = not isinstance(found, Divergence)
    if args.json:
        emit({"ok": equal, **msgspec.to_builtins(found)})
    elif isinstance(found, Divergence):
        print(f"NOT EQUAL: {found}")
    else:
        print("\n".join(_told(found)))
    return 0 if equal else DIVERGED


def _told(proved: "Certificate") -> Iterator[str]:
    """The certificate, line by line."""
    same = proved.sums
    yield f"EQUAL: {' = '.join(proved.ways)}"
    yield f"  bars       {proved.bars:,} of {', '.join(proved.symbols)}, {_day(proved.from_ms)} to {_day(proved.to_ms)}"
    yield f"             {proved.bars_sha256}"
    yield f"  policy     {proved.policy}"
    yield f"             {proved.policy_sha256}"
    yield f"  features   of every decision, kernel ABI {proved.kernel_abi}"
    yield f"             {same.features_sha256}"
    yield f"  decisions  {same.decisions:,}, of which {same.orders:,} are orders"
    yield f"             {same.decisions_sha256}"
    yield f"  fills      {same.fills:,}, to the lot and tick"
    yield f"             {same.fills_sha256}"
    yield f"  equity     {same.equity:,.2f} at the last close, within 1e-8 at every close"


def _day(time_ms: int) -> str:
    return datetime.fromtimestamp(time_ms / 1000, UTC).strftime("%Y-%m-%d %H:%M")
