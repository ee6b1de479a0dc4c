"""Settings: every fault is named at once, precedence holds, secrets stay secret."""

import dataclasses
from pathlib import Path

import pytest

from klined.config.faults import ConfigFaults
from klined.config.load import changes, fields, load
from klined.config.places import find_places
from klined.config.reference import rows, settings_markdown
from klined.config.settings import Settings
from klined.errors import ConfigError
from klined.trader.limits import Limits

CANARY = "c4n4ryC4N4RYc4n4ryC4N4RYc4n4ryC4N4RYc4n4ryC4N4RYc4n4ryC4N4RY1234"

TWENTY_FAULTS = f"""\
colour = "blue"
[market]
exchange = "no such exchange!"
symbols = ["ETHUSDT"]
timeframe = "7m"
kind = "margin"
grace_ms = -1
timefram = "1m"
[polciy]
name = "onnx"
[policy]
model = 7
[risk]
max_day_loss = "two percent"
max_drawdwn = 0.05
max_drawdown = 5
max_exposure = nan
max_trades_hour = 0
max_losses = 2.5
[exchange]
api_key = "{CANARY}"
[mode]
live = "maybe"
[paper]
balance = -5
[runtime]
on_stop = "explode"
flatten_deadline_s = 0
[log]
format = "xml"
[costs]
participation = 1.5
"""


def write(directory: Path, text: str) -> Path:
    path = directory / "klined.toml"
    path.write_text(text, encoding="utf-8")
    return path


def faults_of(path: Path | None, *overrides: str, **environ: str) -> ConfigFaults:
    with pytest.raises(ConfigFaults) as caught:
        load(path, overrides, environ)
    return caught.value


def test_twenty_faults_are_all_named_at_once_with_their_lines(tmp_path: Path) -> None:
    path = write(tmp_path, TWENTY_FAULTS)
    faults = faults_of(path)
    assert [fault.place.line for fault in faults.faults] == [
        1, 3, 4, 5, 6, 7, 8, 9, 12, 14, 15, 16, 17, 18, 19, 21, 23, 25, 27, 28, 30, 32,
    ]  # fmt: skip
    text = str(faults)
    assert len(text.splitlines()) <= 22 + 5
    assert f'{path}:14  risk.max_day_loss = "two percent": a fraction between 0 and 1, like 0.02' in text
    assert "did you mean market.timeframe?" in text
    assert "did you mean risk.max_drawdown?" in text
    assert "did you mean [policy]?" in text
    assert faults.exit_code == 2


def test_twenty_faults_fit_into_twenty_five_lines(tmp_path: Path) -> None:
    lines = TWENTY_FAULTS.splitlines()
    text = "\n".join(line for line in lines if not line.startswith(("format", "participation")))
    faults = faults_of(write(tmp_path, text))
    assert len(faults.faults) == 20
    assert len(str(faults).splitlines()) <= 25


def test_defaults_are_valid_and_read_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KLINED_RISK__MAX_DRAWDOWN", "0.5")
    monkeypatch.chdir(tmp_path)
    assert Settings().risk.max_drawdown == load(None, (), {}).risk.max_drawdown == 0.05
    assert Settings().mode.live is False


def test_precedence_is_command_line_environment_dotenv_credentials_file_default(tmp_path: Path) -> None:
    credentials = tmp_path / "credentials"
    credentials.mkdir()
    path = write(tmp_path, "[risk]\nmax_drawdown = 0.11\nmax_day_loss = 0.011\nmax_week_loss = 0.1\n")
    given: dict[str, str] = {}
    overrides: list[str] = []

    def now() -> tuple[float, str]:
        settings = load(path, overrides, given)
        return settings.risk.max_drawdown, settings.origin("risk.max_drawdown")

    assert now() == (0.11, f"{path}:2")
    (credentials / "klined_risk__max_drawdown").write_text("0.12\n")
    given["CREDENTIALS_DIRECTORY"] = str(credentials)
    assert now()[0] == 0.12
    (tmp_path / ".env").write_text("# ours\nOTHER=1\nexport KLINED_RISK__MAX_DRAWDOWN='0.13'\n")
    assert now() == (0.13, f"{tmp_path / '.env'}:3")
    given["KLINED_RISK__MAX_DRAWDOWN"] = "0.14"
    assert now() == (0.14, "$KLINED_RISK__MAX_DRAWDOWN")
    overrides.append("risk.max_drawdown=0.15")
    assert now() == (0.15, "--set risk.max_drawdown")
    assert load(path, overrides, given).origin("log.level") == "default"


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("KLINED_RISK__MAX_DRAWDWN", "did you mean KLINED_RISK__MAX_DRAWDOWN?"),
        ("KLINED_RISK", "KLINED_RISK__SETTING"),
        ("KLINED_MAX_DRAWDOWN", "did you mean KLINED_RISK__MAX_DRAWDOWN?"),
        ("KLINED_NONSENSE", "unknown setting"),
        ("KLINED_RISK__MAX__DRAWDOWN", "did you mean KLINED_RISK__MAX_DRAWDOWN?"),
    ],
)
def test_unknown_environment_name_is_refused_and_corrected(name: str, hint: str) -> None:
    assert hint in str(faults_of(None, **{name: "0.1"}))


def test_unknown_name_in_dotenv_is_refused_with_its_line(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("\nKLINED_LOGG__LEVEL=info\n")
    assert f"{tmp_path / '.env'}:2" in str(faults_of(write(tmp_path, "")))


def test_secret_in_the_file_is_refused_masked_and_told_where_to_go(tmp_path: Path) -> None:
    faults = str(faults_of(write(tmp_path, f'[exchange]\napi_secret = "{CANARY}"\n')))
    assert "KLINED_EXCHANGE__API_SECRET" in faults
    assert "LoadCredential=klined_exchange__api_secret" in faults
    assert CANARY not in faults


def test_secret_on_the_command_line_is_refused() -> None:
    faults = str(faults_of(None, f"exchange.api_key={CANARY}"))
    assert "every user of this machine can read it" in faults
    assert CANARY not in faults


@pytest.mark.parametrize("name", ["KLINED_EXCHANGE__API_SECRT", "KLINED_EXCHANGE__APIKEY", "KLINED_LOG__LEVEL"])
def test_value_that_may_be_a_secret_is_masked_under_any_name(name: str) -> None:
    assert CANARY not in str(faults_of(None, **{name: CANARY}))


def test_secrets_are_read_from_environment_aliases_and_credentials_and_never_printed(tmp_path: Path) -> None:
    (tmp_path / "klined_exchange__api_secret").write_text(CANARY + "\n")
    environ = {"BINANCE_API_KEY": CANARY + "k", "CREDENTIALS_DIRECTORY": str(tmp_path)}
    settings = load(None, (), environ)
    assert settings.exchange.api_key is not None
    assert settings.exchange.api_secret is not None
    assert settings.exchange.api_key.get_secret_value() == CANARY + "k"
    assert settings.exchange.api_secret.get_secret_value() == CANARY
    shown = f"{settings!r} {settings} {settings.model_dump_json()} {[row.value for row in rows(settings)]}"
    assert CANARY not in shown


def test_own_name_of_a_key_wins_over_the_alias() -> None:
    environ = {"BINANCE_API_KEY": "alias", "KLINED_EXCHANGE__API_KEY": "own"}
    for order in (environ, dict(reversed(environ.items()))):
        key = load(None, (), order).exchange.api_key
        assert key is not None
        assert key.get_secret_value() == "own"


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"[risk\nmax = 1\n", ":1 is not TOML"),
        (b"[risk]\nmax_drawdown = \n", ":2 is not TOML"),
        (b"[risk]\nmax_drawdown = 0.1\nmax_drawdown = 0.1\n", "is not TOML"),
        (b"\xff\xfe[risk]", "is not UTF-8"),
        (b"a = 1\n" * 200_000, "bytes; settings need less"),
    ],
)
def test_broken_file_is_one_sentence(tmp_path: Path, content: bytes, sentence: str) -> None:
    path = tmp_path / "klined.toml"
    path.write_bytes(content)
    with pytest.raises(ConfigError) as caught:
        load(path, (), {})
    assert sentence in str(caught.value)
    assert "\n" not in str(caught.value)
    assert caught.value.exit_code == 2


def test_missing_file_and_directory_are_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="klined init"):
        load(tmp_path / "none.toml", (), {})
    with pytest.raises(ConfigError, match="cannot read"):
        load(tmp_path, (), {})


@pytest.mark.parametrize(
    ("text", "key", "hint"),
    [
        ('[market]\nkind = "perp"\n', "market.kind", "ETH/USDT:USDT"),
        ('[market]\nsymbols = ["ETH/USDT:USDT"]\n', "market.symbols", 'kind = "perp"'),
        ('[market]\nsymbols = ["ETH/USDT", "ETH/USDT"]\n', "market.symbols", "twice"),
        ('[market]\nsymbols = ["ETH/USDT", "ETH/BTC"]\n', "market.symbols", "one quote currency"),
        ('[market]\nfeed = "recorded"\n', "market.feed", "needs files"),
        ('[market]\nfiles = ["a.csv"]\n', "market.files", 'feed = "recorded"'),
        ("[mode]\nlive = true\n", "mode.live", "name one"),
        ("[risk]\nmax_exposure = 2.0\n", "risk.max_exposure", "spot cannot borrow"),
        ("[risk]\nreduce_drawdown = 0.06\n", "risk.reduce_drawdown", "0.05"),
        (f'[store]\ndir = "{"d" * 120}"\n', "store.dir", "too long for a socket"),
    ],
)
def test_contradiction_is_named_where_it_was_written(tmp_path: Path, text: str, key: str, hint: str) -> None:
    (fault,) = faults_of(write(tmp_path, text)).faults
    assert fault.key == key
    assert hint in fault.says
    assert fault.place.line == 2


def test_contradictions_are_found_beside_other_faults(tmp_path: Path) -> None:
    faults = faults_of(write(tmp_path, '[mode]\nlive = true\n[log]\nlevel = "loud"\n')).faults
    assert [fault.key for fault in faults] == ["mode.live", "log.level"]


def test_lists_come_from_the_environment_as_commas() -> None:
    settings = load(None, (), {"KLINED_MARKET__SYMBOLS": "BTC/USDT, ETH/USDT", "KLINED_MARKET__TIMEFRAME": "5m"})
    assert settings.market.symbols == ("BTC/USDT", "ETH/USDT")
    assert settings.market.interval_ms == 300_000


def test_state_directory_of_systemd_is_only_a_default() -> None:
    environ = {"STATE_DIRECTORY": "/var/lib/klined:/var/lib/other"}
    assert load(None, (), environ).state_dir == Path("/var/lib/klined")
    assert load(None, ["store.dir=/x"], environ).state_dir == Path("/x")
    assert load(None, (), {}).state_dir == Path("state/klined")


@pytest.mark.parametrize("override", ["runtime.name=other", "store.dir=here", "runtime.control_socket=/run/k.sock"])
def test_places_found_without_validation_equal_the_settings(override: str) -> None:
    settings = load(None, [override], {})
    assert find_places(None, [override], {}) == (settings.state_dir, settings.control_socket)


def test_reload_takes_limits_and_refuses_the_market() -> None:
    old = load(None, (), {})
    new = load(None, ["risk.max_day_loss=0.01", "log.level=debug", "market.timeframe=5m"], {})
    assert changes(old, new) == (["risk.max_day_loss", "log.level"], ["market.timeframe"])
    assert changes(old, old) == ([], [])


def test_every_setting_has_a_meaning_and_stands_in_the_document() -> None:
    document = settings_markdown()
    for key, field in fields():
        assert field.description, key
        assert f"`{key.partition('.')[2]}`" in document
        assert isinstance(field.json_schema_extra, dict), key
        assert field.json_schema_extra["wanted"], key


def test_table_of_settings_shows_value_and_origin(tmp_path: Path) -> None:
    settings = load(write(tmp_path, "[risk]\n\nmax_day_loss = 0.01\n"), (), {})
    shown = {row.key: (row.value, row.origin) for row in rows(settings)}
    assert shown["risk.max_day_loss"] == ("0.01", f"{tmp_path / 'klined.toml'}:3")
    assert shown["market.symbols"] == ('["ETH/USDT"]', "default")
    assert len(shown) == len(list(fields()))


def test_lower_drawdown_limit_alone_keeps_reducing_before_halting() -> None:
    assert load(None, ["risk.max_drawdown=0.02"], {}).risk.reduce_drawdown == pytest.approx(0.016)
    assert load(None, ["risk.max_drawdown=0.2"], {}).risk.reduce_drawdown == 0.04
    assert [fault.key for fault in faults_of(None, "risk.max_drawdown=-1").faults] == ["risk.max_drawdown"]


def test_limits_of_the_gate_and_settings_have_the_same_names_defaults_and_ranges() -> None:
    found = {key: field for key, field in fields() if key.startswith(("risk.", "exits."))}
    renamed = {"stop_minutes": "exits.time_minutes"}
    for limit in dataclasses.fields(Limits):
        stop = limit.name.removeprefix("stop_")
        key = renamed.get(limit.name) or (f"exits.{stop}" if stop != limit.name else f"risk.{limit.name}")
        if limit.name in {"warmup_bars", "long_only"}:  # asked for by plan and policy
            continue
        field = found.pop(key)
        assert field.default == limit.default, key
        least, most = (next(getattr(m, name) for m in field.metadata if hasattr(m, name)) for name in ("ge", "le"))
        assert (least, most) == (limit.metadata["least"], limit.metadata["most"]), key
    assert set(found) == {"risk.kill_file", "exits.resting"}  # not the gate's


@pytest.mark.parametrize("path", sorted((Path(__file__).parents[2] / "examples").glob("*.toml")), ids=lambda p: p.name)
def test_example_is_valid_and_says_something(path: Path) -> None:
    assert load(path, (), {}) != Settings()


def test_policy_options_come_as_a_table() -> None:
    path = Path(__file__).parents[2] / "examples" / "recorded.toml"
    assert load(path, (), {}).policy.options == {"enter": 2.5}
