"""What `render_mode` asks for: frames on demand, or a window that follows.

reset, step ─▶ Film ─┬─ rgb_array ─▶ Picture ─▶ pixels, when asked
                     └─ human ─▶ Window, at every step
"""

from typing import TYPE_CHECKING, Any

from klined.errors import ConfigError
from klined_models.envs.film import Film
from klined_models.envs.lanes import Lanes
from klined_models.envs.settings import nearest

if TYPE_CHECKING:
    from klined_models.envs.picture import Picture, Window

MODES = ("human", "rgb_array")
BARS_SHOWN = 120


class Screen:
    """Follows lane 0 of `lanes`; matplotlib is loaded when the first picture is drawn. `bars` 0 shows the episode."""

    def __init__(self, lanes: Lanes, mode: str, bars: int = BARS_SHOWN) -> None:
        if mode not in MODES:
            raise ConfigError(f"render_mode {mode!r} is not known; {nearest(mode, MODES)}")
        self.mode, self.bars, self.film = mode, bars, Film(lanes)
        self._picture: Picture | None = None
        self._window: Window | None = None

    def begin(self, bar: int) -> None:
        """An episode begins at `bar`."""
        self.film.begin(bar)
        self._follow()

    def add(self) -> None:
        """A step was made."""
        self.film.add()
        self._follow()

    def render(self) -> Any:
        """Pixels, or None where a window shows them."""
        if self.mode == "human":
            return None
        if self._picture is None:
            from klined_models.envs.picture import Picture  # noqa: PLC0415 - matplotlib, only for who draws

            self._picture = Picture()
        return self._picture.frame(self.film.view(self.bars))

    def close(self) -> None:
        if self._window is not None:
            self._window.close()
            self._window = None

    def _follow(self) -> None:
        if self.mode != "human":
            return
        if self._window is None:
            from klined_models.envs.picture import Window  # noqa: PLC0415 - matplotlib, only for who draws

            self._window = Window()
        self._window.show(self.film.view(self.bars))
