"""What a person may read about is there: settings, commands, events, plugin groups, links, and code that runs."""

import ast
import importlib.util
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from klined.cli.main import VERBS
from klined.config.reference import settings_markdown
from klined.config.settings import Settings
from klined.errors import KlinedError

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
PAGES = (*sorted(DOCS.glob("*.md")), *sorted(ROOT.glob("*.md")))
SOURCES = (ROOT / "daemon", ROOT / "plugins", ROOT / "models")

EVENT = re.compile(r"^[a-z][a-z_]*(\.[a-z][a-z_]*)+$")
SPEAKERS = {
    "debug",
    "info",
    "warning",
    "error",
    "exception",
    "critical",
    "note",
    "Alarm",
    "Alert",
    "Event",
    "event",
    "emit",
}
"""Names of the calls that tell an event; the event's name is a literal among their first arguments."""
LEVELS = {"debug", "info", "warning", "error"}
LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
BLOCK = re.compile(r"```python\n(.*?)```", re.DOTALL)


def documented(page: str) -> str:
    return (DOCS / page).read_text()


def literals(parts: list[ast.expr]) -> list[str]:
    return [part.value for part in parts if isinstance(part, ast.Constant) and isinstance(part.value, str)]


def events_of(source: str) -> set[str]:
    """Names of the events that a module tells: in a call that tells one, or beside their level in a tuple."""
    spoken: list[str] = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Call) and ast.unparse(node.func).rsplit(".", 1)[-1] in SPEAKERS:
            spoken += literals(node.args[:3])
        elif isinstance(node, ast.Tuple) and set(literals(node.elts[:1])) & LEVELS:
            spoken += literals(node.elts[1:2])
    return {name for name in spoken if EVENT.match(name)}


def events(*, tracked: bool) -> set[str]:
    """Of all sources, or only of those that git tracks. A simulated world's trace is not the log."""
    found = {str(path.relative_to(ROOT)) for folder in SOURCES for path in folder.rglob("*.py")}
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=False, text=True)
    if tracked and not listed.returncode:
        found &= set(listed.stdout.split("\0"))
    quiet = "daemon/klined/simulation/"
    return {
        name for path in sorted(found) if not path.startswith(quiet) for name in events_of((ROOT / path).read_text())
    }


def broken_links(text: str, folder: Path) -> list[str]:
    targets = (target.split("#")[0] for target in LINK.findall(text))
    return [target for target in targets if target and "://" not in target and not (folder / target).exists()]


def test_every_setting_is_documented_as_it_is() -> None:
    text = documented("settings.md")
    assert text == settings_markdown(), "run make docs"
    for section, field in Settings.model_fields.items():
        assert f"## [{section}]" in text
        assert not [name for name in getattr(field.annotation, "model_fields", {}) if f"| `{name}` |" not in text]


def test_every_command_is_documented() -> None:
    text = documented("commands.md")
    assert not [verb for verb in VERBS if f"| `klined {verb}` |" not in text]


def test_every_event_is_documented_and_no_other() -> None:
    listed = set(re.findall(r"^\| `([a-z_.]+)` \|", documented("events.md"), re.MULTILINE))
    assert not events(tracked=True) - listed, "add them to docs/events.md"
    assert not listed - events(tracked=False), "nothing tells these any more"


def test_event_hunt_finds_a_planted_event() -> None:
    source = 'log.info("bar.dropped", n=1)\nself._trader.note("debug", "order.lost")\nopen("a.txt")\n'
    source += 'told = ("error", "order.reopened", {})\nother = ("a", "b.c")\n'
    assert events_of(source) == {"bar.dropped", "order.lost", "order.reopened"}


def test_every_entry_point_and_group_is_documented() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    groups = project["entry-points"]
    assert set(groups) >= {"klined.feeds", "klined.policies", "klined.venues", "klined.signals", "klined.observers"}
    text = documented("plugins.md")
    assert not [group for group in groups if f"`{group}`" not in text]
    assert not [name for group in groups.values() for name in group if f"`{name}`" not in text]


def test_every_exit_code_is_documented() -> None:
    codes = {error.exit_code for error in descendants(KlinedError)}
    assert not [code for code in codes if f"| {code} |" not in documented("operations.md")]


def descendants(kind: type[KlinedError]) -> Iterator[type[KlinedError]]:
    yield kind
    for child in kind.__subclasses__():
        yield from descendants(child)


def test_makefile_has_every_target_the_pages_name() -> None:
    makefile = (ROOT / "Makefile").read_text()
    targets = set(re.findall(r"^([a-z-]+):", makefile, re.MULTILINE))
    named = {
        name for page in PAGES for name in re.findall(r"(?:^ {4}|`)make ([a-z-]+)", page.read_text(), re.MULTILINE)
    }
    assert {"demo", "test"} <= named
    assert not named - targets


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_between_pages_lead_somewhere(page: Path) -> None:
    assert not broken_links(page.read_text(), page.parent)


def test_link_check_finds_a_planted_broken_link() -> None:
    assert broken_links("[x](nowhere.md#a) [y](https://a.example) [z](#here)", DOCS) == ["nowhere.md"]


def test_files_named_by_the_architecture_exist() -> None:
    named = re.findall(r"`((?:daemon|klined)/[a-z_/]+(?:\.py)?)`", documented("architecture.md"))
    paths = [ROOT / name if name.startswith("daemon/") else ROOT / "daemon" / name for name in named]
    assert len(paths) > 5
    assert not [path for path in paths if not path.exists()]


def test_policy_of_the_plugin_page_decides_as_it_says() -> None:
    source, usage = BLOCK.findall(documented("plugins.md"))
    scope: dict[str, type] = {}
    exec(compile(source, "plugins.md", "exec"), scope)  # noqa: S102 - the page's own example
    policy = scope["Contrarian"](strength=2.0)
    observations = np.zeros((2, 15), dtype=np.float32)
    observations[:, 1] = (0.25, -0.75)
    assert policy.decide(observations) == [(-0.5, (0.25,)), (1.0, (-0.75,))]
    assert policy.state() == b""
    exec(compile(usage, "plugins.md", "exec"), {})  # noqa: S102 - the page's own example


def script(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, ROOT / "scripts" / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


def test_api_reference_has_every_public_module() -> None:
    reference = script("api_reference")
    text = "\n".join(reference.pages().values())
    missing = [name for name, _ in reference.modules() if f"\n## {name}\n" not in text]
    assert not missing
    assert "class Bar(Struct)" in text
