"""An episode drawn: what is seen where something was filled, and what is said where nothing can be drawn."""

from collections.abc import Iterator
from typing import Any

import gymnasium
import numpy as np
import pytest

pytest.importorskip("matplotlib", reason="matplotlib is not installed: klined[envs]")

from gymnasium.utils.env_checker import check_env

from envs.making import duo_scene, settings, spot_bars, spot_scene
from klined.errors import ConfigError
from klined_models.envs import TradingEnv
from klined_models.envs.film import View
from klined_models.envs.picture import GAP, PAPER, Picture, marker_of

AROUND = 9  # pixels: as far as a marker or a dash reaches


@pytest.fixture(scope="module")
def env() -> Iterator[TradingEnv]:
    """After some steps with a few fills."""
    made = TradingEnv(spot_scene(), render_mode="rgb_array")
    made.reset(seed=4)
    for k in range(60):
        made.step(2 if k % 20 < 10 else 0)
    assert len(made.fills) >= 3
    yield made
    made.close()


def view_of(env: TradingEnv, bars: int = 120) -> View:
    assert env.screen is not None
    return env.screen.film.view(bars)


def test_frame_is_an_image_of_declared_size(env: TradingEnv) -> None:
    frame = env.render()
    assert frame.shape == (720, 960, 3)
    assert frame.dtype == np.uint8
    assert (frame[0, 0] == [int(PAPER[k : k + 2], 16) for k in (1, 3, 5)]).all(), "dark on light"
    assert frame.min() < 60


def test_pixels_change_at_fills_and_nowhere_else(env: TradingEnv) -> None:
    view, picture = view_of(env), Picture()
    bare = picture.frame(view._replace(marks=()))
    drawn = picture.frame(view)
    changed = (bare != drawn).any(axis=2)
    near = np.zeros_like(changed)
    bars = view.bars[0]
    gap = GAP * (bars[:, 2].max() - bars[:, 3].min())
    assert len(view.marks) == len(env.fills)
    for mark in view.marks:
        bar = bars[mark.bar - view.first]
        places = [marker_of(mark, bar[2], bar[3], gap), (mark.bar, mark.price)]
        for row, column in (picture.place(0, *place) for place in places):
            spot = (slice(row - AROUND, row + AROUND + 1), slice(column - AROUND, column + AROUND + 1))
            assert changed[spot].any(), f"nothing is drawn at {mark}"
            near[spot] = True
    assert not (changed & ~near).any()


def test_buys_point_up_from_below_and_sells_down_from_above(env: TradingEnv) -> None:
    for mark in view_of(env).marks:
        _, price = marker_of(mark, 110.0, 90.0, 1.0)
        assert price == (89.0 if mark.lots > 0 else 111.0)


def test_equity_and_fall_of_the_view_are_the_accounts(env: TradingEnv) -> None:
    view = view_of(env)
    since = view.start - view.first
    assert np.isnan(view.equity[:since]).all()
    assert view.equity[since] == view.balance
    assert view.equity[-1] == env._info()["equity"]
    lived = view.equity[since:]
    assert view.fall[since:] == pytest.approx(lived / np.maximum.accumulate(lived) - 1.0)
    closes = view.bars[0, since:, 4]
    assert view.hold[since:] == pytest.approx(view.balance * closes / closes[0])


def test_view_reaches_as_far_as_it_is_asked(env: TradingEnv) -> None:
    assert len(view_of(env, 120).times) == 120
    assert len(view_of(env, 10).times) == 10
    whole = view_of(env, 0)
    assert whole.first == whole.start
    assert len(whole.times) == 61
    assert whole.times[-1] == env.scene.times[env.bar_index]


def test_every_symbol_has_a_panel_of_its_own() -> None:
    env = TradingEnv(duo_scene(), render_mode="rgb_array")
    env.reset(seed=1)
    for _ in range(3):
        env.step([2, 0])
    picture = Picture()
    picture.frame(view_of(env))
    assert len(picture.panels) == 4


def test_same_episode_gives_the_same_pixels() -> None:
    frames = []
    for _ in range(2):
        env = TradingEnv(spot_scene(), render_mode="rgb_array")
        env.reset(seed=9)
        env.step(1)
        frames.append(env.render())
    assert (frames[0] == frames[1]).all()


def test_gymnasium_makes_and_checks_it_with_a_render_mode() -> None:
    env: Any = gymnasium.make(
        "klined_models.envs:klined/Trading-v0", data=spot_bars(), settings=settings(), render_mode="rgb_array"
    )
    check_env(env.unwrapped, skip_render_check=True)
    env.reset(seed=0)
    assert env.render().shape == (720, 960, 3)


def test_what_cannot_be_rendered_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ConfigError, match="there are human, rgb_array"):
        TradingEnv(spot_scene(), render_mode="rgb")
    with pytest.raises(ConfigError, match="make the environment with render_mode"):
        TradingEnv(spot_scene()).render()
    with pytest.raises(ConfigError, match="render was called before reset"):
        TradingEnv(spot_scene(), render_mode="rgb_array").render()
    monkeypatch.setattr("sys.platform", "linux")
    monkeypatch.delenv("DISPLAY", raising=False)
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    with pytest.raises(ConfigError, match=r"no display here \(DISPLAY is not set\); take render_mode='rgb_array'"):
        TradingEnv(spot_scene(), render_mode="human").reset()


def test_window_without_a_toolkit_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DISPLAY", ":0")
    monkeypatch.setenv("MPLBACKEND", "agg")
    import matplotlib as mpl

    monkeypatch.setitem(mpl.rcParams, "backend", "agg")
    with pytest.raises(ConfigError, match="install tkinter or PyQt6"):
        TradingEnv(spot_scene(), render_mode="human").reset()


def test_environment_that_shows_nothing_records_nothing_for_it() -> None:
    assert TradingEnv(spot_scene()).screen is None
