"""Canary secrets go in wherever a daemon may meet them; nothing that comes out has them."""

import asyncio
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from klined.cli.client import ask
from klined.cli.main import main
from klined.config import masks
from klined.domain import Event, Input, Record
from klined.errors import Rejected
from klined.runtime.control import Control
from klined.runtime.secrecy import without_secrets

KEY, SECRET = "CANARYkey4f1c9b/+=", "CANARYsecret77d2e"
SIGNATURE = "c0ffee5160a7"
URL = f"https://api.binance.example/api/v3/order?symbol=ETHUSDT&signature={SIGNATURE}&timestamp=1"

# What libraries raise and log, as they word it, on every way out of a process that has no handler for it.
SPEAKING = f"""
import asyncio, logging, threading, aiohttp, structlog
from klined.config import masks
from klined.runtime import log
KEY, SECRET, URL = {KEY!r}, {SECRET!r}, {URL!r}
masks.hide(KEY); masks.hide(SECRET)
log.configure("debug", "FORM"); log.take_over()
tell = structlog.get_logger()
headers = {{"X-MBX-APIKEY": KEY, "others": [SECRET, {{"apiKey": "short"}}]}}
tell.info("order.sent", url=URL, headers=headers, api_key="x" + KEY)
tell.info("order.sent", why=aiohttp.ClientConnectionError(f"cannot connect to {{URL}}&key={{KEY}}"))
try:
    raise OSError(f"binance POST {{URL}} {{{{'X-MBX-APIKEY': '{{KEY}}'}}}}") from ValueError(SECRET)
except OSError:
    tell.exception("order.failed")
logging.getLogger("ccxt").error("signed with %s: %s", SECRET, URL)
def die(): raise RuntimeError(f"thread: {{SECRET}} {{URL}}")
thread = threading.Thread(target=die); thread.start(); thread.join()
async def lost(): raise RuntimeError(f"task: {{SECRET}} {{URL}}")
async def run():
    task = asyncio.ensure_future(lost()); await asyncio.sleep(0); await asyncio.sleep(0); del task
asyncio.run(run())
class Dying:
    def __del__(self): raise RuntimeError(f"destructor: {{SECRET}} {{URL}}")
Dying()
raise RuntimeError(f"main: {{SECRET}} {{URL}}")
"""


@pytest.fixture
def _hidden(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(masks, "_known", set())
    masks.hide(KEY)
    masks.hide(SECRET)


def leaks(text: str) -> list[str]:
    return [canary for canary in (KEY, SECRET, SIGNATURE) if canary in text]


@pytest.mark.parametrize("form", ["json", "keys"])
def test_nothing_that_a_process_says_has_a_secret_in_it(form: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", SPEAKING.replace("FORM", form)], capture_output=True, text=True, check=False
    )
    for spoken in ("order.sent", "order.failed", "signed with", "thread:", "task:", "destructor:", "main:"):
        assert spoken in done.stderr
    assert leaks(done.stdout + done.stderr) == []
    assert masks.MASK in done.stderr


def test_search_for_leaks_finds_one_where_nothing_is_masked() -> None:
    bare = SPEAKING.replace("masks.hide(KEY); masks.hide(SECRET)", "").replace("FORM", "json")
    done = subprocess.run([sys.executable, "-c", bare], capture_output=True, text=True, check=False)
    assert leaks(done.stderr) == [KEY, SECRET]


@pytest.mark.usefixtures("_hidden")
def test_what_a_venue_quotes_is_stored_without_the_secret() -> None:
    quoting = f'{{"type":"Denied","reason":"bad request {SECRET} {KEY}"}}'.encode()
    event = Event(1, "warning", "order.refused", {"why": URL + KEY, "n": 1})
    record = without_secrets(Record(1, 1, (Input(1, 1, "news", quoting),), orders=(("k", quoting),), events=(event,)))
    stored = b"".join([record.inputs[0].body, record.orders[0][1]]).decode() + json.dumps(record.events[0].data)
    assert leaks(stored) == []
    assert json.loads(record.inputs[0].body)["type"] == "Denied"


@pytest.mark.usefixtures("_hidden")
async def test_control_socket_answers_without_the_secret(tmp_path: Path) -> None:
    async def careless(_request: object) -> object:
        return {"url": URL, "list": [SECRET]}

    async def failing(_request: object) -> object:
        raise Rejected(f"refused: {URL} {KEY}")

    control = Control(tmp_path / "s", {"careless": careless, "failing": failing})
    await control.start()
    answer = await asyncio.to_thread(ask, tmp_path / "s", {"verb": "careless"})
    with pytest.raises(Exception, match="refused") as refused:
        await asyncio.to_thread(ask, tmp_path / "s", {"verb": "failing"})
    await control.close()
    assert leaks(json.dumps(answer) + str(refused.value)) == []


@pytest.mark.usefixtures("_hidden")
def test_command_line_shows_no_secret_even_in_a_traceback(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    import klined.cli.setup

    def explode(_: object) -> int:
        raise ConnectionError(f"{URL} {SECRET}") from ValueError(KEY)

    monkeypatch.setattr(klined.cli.setup, "check", explode)
    assert main(["-v", "--json", "check"]) == 1
    said = capsys.readouterr()
    assert "Traceback" in said.err
    assert leaks(said.out + said.err) == []


@pytest.fixture
def ran(tmp_path: Path) -> str:
    """All that a daemon with keys in its environment printed, told and left on disk."""
    environ = os.environ | {"KLINED_EXCHANGE__API_KEY": KEY, "BINANCE_API_SECRET": SECRET}
    (tmp_path / "klined.toml").write_text('[market]\nspeed = 0\nbars = 3000\n[policy]\nname = "ema_cross"\n')
    klined = [sys.executable, "-m", "klined.cli.main", "--state", "s"]
    command = [*klined, "-c", "klined.toml", "--set", "log.level=debug", "run"]
    with subprocess.Popen(command, cwd=tmp_path, env=environ, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        said = []
        for line in process.stderr:
            said.append(line)
            if "daemon.ready" in line:
                process.send_signal(signal.SIGUSR1)
            if "state.dumped" in line:
                break
        said.append(process.stderr.read())
        assert process.wait(60) == 0
    for words in (["check", "--all"], ["why"], ["logs", "--level", "debug"], ["trades"], ["state", "show"], ["report"]):
        done = subprocess.run([*klined, *words], cwd=tmp_path, env=environ, capture_output=True, text=True, check=False)
        said += [done.stdout, done.stderr]
    left = [path.read_bytes().decode("latin-1") for path in (tmp_path / "s").rglob("*") if path.is_file()]
    assert len(left) >= 5
    return "".join(said) + "".join(left)


def test_daemon_with_keys_leaves_no_trace_of_them_and_warns_of_the_environment(ran: str) -> None:
    assert leaks(ran) == []
    assert "secret.exposed" in ran


def test_state_is_for_its_owner_alone(tmp_path: Path) -> None:
    old = os.umask(0o022)
    try:
        command = [sys.executable, "-m", "klined.cli.main", "--state", str(tmp_path / "s"), "demo", "--bars", "50"]
        subprocess.run([*command, "--speed", "0"], check=True, capture_output=True)
    finally:
        os.umask(old)
    assert [path for path in (tmp_path / "s").rglob("*") if path.stat().st_mode & 0o077] == []
