"""`klined`: one verb, one answer, one exit code.

    0 done   1 it failed   2 settings or usage   3 no daemon is running   5 stopped, but not flat

A verb's module is imported when the verb is asked for, so that `klined --help` costs nothing but argparse.
"""

import argparse
import difflib
import json
import os
import sys
import traceback
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from importlib import import_module
from pathlib import Path
from typing import Any, NamedTuple, NoReturn

from klined import __version__
from klined.errors import ConfigError, KlinedError
from klined.runtime.stops import deferred

DEFAULT_FILE = "klined.toml"
INTERRUPTED = 130
DAEMONS = {"run", "demo", "replay"}  # a stop while they are imported is heard once they can leave a flat book


class Verb(NamedTuple):
    """Where a verb lives and how it is explained."""

    group: str
    module: str
    says: str
    example: str


VERBS = {
    "demo": Verb("Start here", "running", "a generated market, paper money, works offline", "klined demo --bars 500"),
    "init": Verb("Start here", "setup", "write klined.toml (never overwrites)", "klined init"),
    "check": Verb(
        "Start here", "setup", "validate settings, policy, files, state; starts nothing", "klined check --all"
    ),
    "run": Verb("Run", "running", "the daemon (paper, unless mode.live and --live)", "klined -c klined.toml run"),
    "status": Verb("Run", "control", "what it is doing now", "klined status --json"),
    "why": Verb("Run", "control", "why it did or did not trade", "klined why --last 10"),
    "pause": Verb("Run", "control", "no new exposure, exits still work", "klined pause"),
    "resume": Verb("Run", "control", "trade again, after a pause or a halt", "klined resume"),
    "flatten": Verb("Run", "control", "close everything, then pause", "klined flatten --yes"),
    "reload": Verb(
        "Run", "control", "reread the settings that may change, swap the policy", "klined reload --model m.onnx"
    ),
    "logs": Verb("Look back", "history", "events, filtered", "klined logs -f --since 1h --level warning"),
    "trades": Verb("Look back", "history", "every fill, as table, CSV or JSON lines", "klined trades --csv"),
    "explain": Verb("Look back", "history", "one order from its bar to its fills", "klined explain k-7f3a-17"),
    "report": Verb("Look back", "report", "one day summed up", "klined report --day yesterday"),
    "replay": Verb("Research", "running", "recorded bars through the same pipeline", "klined replay ETHUSDT-1m.csv.gz"),
    "sandbox": Verb("Research", "sandbox", "a Binance-compatible exchange on loopback", "klined sandbox --speed 60"),
    "parity": Verb(
        "Research",
        "parity",
        "prove that lanes decide what the daemon decides",
        "klined parity --data ETHUSDT-1m.csv.gz",
    ),
    "sim": Verb("Research", "sim", "prove it against faults and kills, by seed", "klined sim --seeds 1000"),
    "record": Verb("Research", "record", "store a feed's raw frames", "klined record frames.jsonl.gz --minutes 60"),
    "features": Verb("Research", "features", "list, show or check what a policy may see", "klined features show rsi"),
    "market": Verb(
        "Research",
        "market",
        "make markets, and tell real ones from random walks",
        "klined market check ETHUSDT-1m.csv.gz",
    ),
    "state": Verb("Keep", "state", "show, backup or restore the state directory", "klined state backup state.bak"),
    "service": Verb("Keep", "service", "systemd units: install, uninstall or show them", "klined service install eth"),
}


class Parser(argparse.ArgumentParser):
    """argparse with our tone: one sentence and the way to help. Knows the parsers of its actions, such as `check`."""

    actions: Any = None

    def add_subparsers(self, **told: Any) -> Any:
        self.actions = super().add_subparsers(**told)
        return self.actions

    def error(self, message: str) -> NoReturn:
        print(f"{self.prog}: {message}; see: {self.prog} --help", file=sys.stderr)
        sys.exit(ConfigError.exit_code)


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; the exit code."""
    top = _options(Parser(prog="klined", add_help=False, allow_abbrev=False), first=True)
    top.add_argument("-h", "--help", action="store_true")
    top.add_argument("--version", action="store_true")
    top.add_argument("verb", nargs="?")
    top.add_argument("rest", nargs=argparse.REMAINDER)
    args = top.parse_args(argv)
    if args.version:
        print(f"klined {__version__}")
        return 0
    if args.help or args.verb in {None, "help"}:
        return _help(args.rest)
    if args.verb not in VERBS:
        near = difflib.get_close_matches(args.verb, VERBS, 1)
        top.error(f"unknown command {args.verb}" + (f"; did you mean {near[0]}?" if near else ""))
    return _run(args.verb, args.rest, args)


def _run(name: str, rest: Sequence[str], args: argparse.Namespace) -> int:
    try:
        with deferred() if name in DAEMONS else nullcontext():
            module = import_module(f"klined.cli.{VERBS[name].module}")
            parser = _parser(name, getattr(module, f"{name}_arguments", None))
            # Intermixed, since a name may come after an option: klined service install --user eth.
            (parser.parse_args if parser.actions else parser.parse_intermixed_args)(rest, args)
            code: int = getattr(module, name)(args)
        sys.stdout.flush()
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:  # the reader, such as head, has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except KlinedError as error:
        return _failed(error, error.exit_code, args)
    except Exception as error:  # noqa: BLE001 - the top of the process: a sentence, not a traceback
        sentence = f"this is a fault of klined: {type(error).__name__}: {error}; run again with -v for the traceback"
        return _failed(error, 1, args, sentence)
    return code


def _parser(name: str, add_arguments: Callable[[Parser], None] | None) -> Parser:
    verb = VERBS[name]
    description, example = f"{verb.says[0].upper()}{verb.says[1:]}.", f"example: {verb.example}"
    parser = Parser(prog=f"klined {name}", description=description, epilog=example, allow_abbrev=False)
    if add_arguments is not None:
        add_arguments(parser)
    for action in parser.actions.choices.values() if parser.actions else ():
        action.add_argument("--json", action="store_true", default=argparse.SUPPRESS, help="print JSON")
        action.add_argument("-v", "--verbose", action="store_true", default=argparse.SUPPRESS, help="tracebacks")
    return _options(parser, first=False)


def _failed(error: Exception, code: int, args: argparse.Namespace, sentence: str = "") -> int:
    from klined.config.masks import masked  # noqa: PLC0415 - errors quote requests, and requests are signed

    if args.verbose:
        print(masked("".join(traceback.format_exception(error))), end="", file=sys.stderr)
    sentence = masked(sentence or str(error) or type(error).__name__)
    print(f"klined: {sentence}", file=sys.stderr)
    if args.json:
        print(json.dumps({"ok": False, "error": sentence, "code": code}))
    return code


def _options(parser: Parser, *, first: bool) -> Parser:
    """What every command takes, before the verb or after it."""

    def default(value: object) -> object:
        return value if first else argparse.SUPPRESS

    group = parser.add_argument_group("everywhere")
    group.add_argument(
        "-c",
        "--config",
        type=Path,
        metavar="FILE",
        default=default(None),
        help=f"settings; {DEFAULT_FILE} if it is there",
    )
    group.add_argument(
        "--set",
        action="append",
        metavar="KEY=VALUE",
        default=default([]),
        help="override one setting, like risk.max_drawdown=0.1",
    )
    group.add_argument("--state", type=Path, metavar="DIR", default=default(None), help="state directory")
    group.add_argument("--json", action="store_true", default=default(False), help="print JSON")  # noqa: FBT003 - not a call of ours
    group.add_argument("-v", "--verbose", action="store_true", default=default(False), help="say more; tracebacks")  # noqa: FBT003
    return parser


def _help(rest: Sequence[str]) -> int:
    if rest and rest[0] in VERBS:
        return _run(rest[0], ["--help"], argparse.Namespace())
    print("usage: klined [-c FILE] [--set KEY=VALUE] [--json] [-v] <command>\n")
    group = ""
    for name, verb in VERBS.items():
        title = "" if verb.group == group else verb.group
        group = verb.group
        print(f"{title:<13} {name:<9} {verb.says}")
    print("\nOptions and an example of each: klined <command> --help")
    print(f"example: klined demo --bars 500        settings: {DEFAULT_FILE}, KLINED_SECTION__SETTING")
    return 0


if __name__ == "__main__":
    sys.exit(main())
