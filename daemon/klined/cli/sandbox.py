"""The verb that starts the exchange on loopback: sandbox."""

import argparse
import asyncio
import signal
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from klined.cli.options import overrides
from klined.cli.output import emit
from klined.errors import ConfigError
from klined.sandbox.settings import DEMO_KEY, DEMO_SECRET, SandboxSettings, read_settings

if TYPE_CHECKING:  # aiohttp, only once it starts
    from klined.sandbox.server import SandboxServer


def sandbox_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("settings", nargs="?", type=Path, metavar="SANDBOX.toml", help="see docs/sandbox.md")
    parser.add_argument("--port", type=int, metavar="P", help="on loopback (9900); 0: a free one, printed")
    parser.add_argument("--speed", type=float, metavar="X", help="market seconds per second (1); 0: by /sandbox/step")
    parser.add_argument("--seed", type=int, metavar="S", help="another made-up market (7)")
    parser.add_argument("--spot", action="append", metavar="SYMBOL", help="like ETH/USDT; may be repeated")
    parser.add_argument("--perp", action="append", metavar="SYMBOL", help="like ETH/USDT:USDT; may be repeated")
    parser.add_argument("--file", action="append", metavar="FILE", help="recorded bars instead of a made-up market")
    parser.add_argument(
        "--scenario", action="append", metavar="NAME", help="like flash_crash:start=30; see klined market"
    )
    parser.add_argument("--start", type=int, metavar="MS", help="the clock's first time, UTC ms; else now")


def sandbox(args: argparse.Namespace) -> int:
    """Serve until Ctrl+C."""
    if unknown := overrides(args)[1 if args.state else 0 :]:
        raise ConfigError(f"--set {unknown[0]} is for the daemon; the sandbox has a settings file of its own")
    settings = read_settings(
        args.settings, port=args.port, speed=args.speed, seed=args.seed, spot=args.spot, perp=args.perp,
        files=args.file, scenarios=args.scenario, start_ms=args.start, state=str(args.state) if args.state else None,
    )  # fmt: skip
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with suppress(KeyboardInterrupt):
        asyncio.run(_serve(settings, as_json=args.json))
    return 0


async def _serve(settings: SandboxSettings, *, as_json: bool) -> None:
    from klined.sandbox.server import running  # noqa: PLC0415

    async with running(settings) as server:
        _tell(server, settings, as_json=as_json)
        await server.failed()


def _tell(server: "SandboxServer", settings: SandboxSettings, *, as_json: bool) -> None:
    http, ws = f"http://{settings.host}:{server.port}", f"ws://{settings.host}:{server.port}"
    if as_json:
        emit({"ok": True, "port": server.port, "rest": http, "socket": ws})
        return
    rows = [
        f"  spot     REST {http}   streams {ws}   ws-api {ws}/ws-api/v3",
        f"  USDT-M   REST {http}   streams {ws}/public|market|private   ws-api {ws}/ws-fapi/v1",
        f"  symbols  {' '.join((*settings.spot, *settings.perp))}   speed {settings.speed:g}",
        f"  truth    {http}/sandbox/ledger   faults {http}/sandbox/faults",
    ]
    if any(key.key == DEMO_KEY and key.secret == DEMO_SECRET for key in settings.keys):
        rows.insert(2, f"  key      {DEMO_KEY}, secret {DEMO_SECRET}: the built-in ones, of no use anywhere else")
    print("\n".join(rows), flush=True)
