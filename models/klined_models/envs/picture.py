"""An episode drawn: candles with fills, equity beside buying and holding, drawdown; dark on light.

    View ─▶ Picture ─▶ (height, width, 3) uint8          View ─▶ Window, where there is a display

matplotlib draws, on a figure of its own; nothing of its global state is touched but by Window.
"""

import os
import sys
from datetime import UTC, datetime
from typing import Any

import numpy as np
from numpy.typing import NDArray

from klined.errors import ConfigError
from klined_models.envs.film import Mark, View

try:
    import matplotlib as mpl
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.collections import LineCollection, PolyCollection
    from matplotlib.figure import Figure
    from matplotlib.ticker import FixedLocator, FuncFormatter, MaxNLocator
except ImportError as absent:  # pragma: no cover - installed wherever tests run
    raise ConfigError("matplotlib draws, and is not installed: pip install 'klined[envs]'") from absent

Pixels = NDArray[np.uint8]
SIZE_INCHES, DPI = (9.6, 7.2), 100
SYMBOLS_SHOWN = 3
PAPER, INK, FAINT, GRID = "#fdfdfb", "#23272f", "#7a7f87", "#e7e7e2"
RISE, FALL = "#2a9d78", "#cf4b55"
BOUGHT, SOLD = "#0b6e4f", "#9b1c31"
EQUITY, HOLD = "#1d4e89", "#a5a9b0"
TIMES_SHOWN = 9
ROUND_MINUTES = (1, 5, 15, 30, 60, 120, 240, 360, 720, 1440, 2880, 10_080, 40_320, 161_280)
BODY = 0.7  # of a bar's width
GAP = 0.05  # of the range of prices: between a bar and its marker


class Picture:
    """One figure, drawn anew for every view."""

    def __init__(self, figure: Any = None) -> None:
        if figure is None:
            figure = Figure(figsize=SIZE_INCHES, dpi=DPI)
            FigureCanvasAgg(figure)
        self.figure = figure
        self.figure.set_facecolor(PAPER)
        self.panels: list[Any] = []

    def frame(self, view: View) -> Pixels:
        """The view as pixels (height, width, 3)."""
        self.draw(view)
        self.figure.canvas.draw()
        shown: Pixels = np.asarray(self.figure.canvas.buffer_rgba())[..., :3].copy()
        return shown

    def draw(self, view: View) -> None:
        """Put the view on the figure."""
        self.figure.clear()
        count = min(len(view.symbols), SYMBOLS_SHOWN)
        heights = [3.2 if count == 1 else 1.8] * count + [1.3, 0.8]
        grid = self.figure.add_gridspec(
            count + 2, 1, height_ratios=heights, left=0.03, right=0.895, top=0.868, bottom=0.06, hspace=0.17
        )
        self.panels = [self.figure.add_subplot(grid[0])]
        self.panels += [self.figure.add_subplot(grid[row], sharex=self.panels[0]) for row in range(1, count + 2)]
        x = np.arange(view.first, view.first + len(view.times))
        for i, panel in enumerate(self.panels[:count]):
            _candles(panel, x, view.bars[i])
            _fills(panel, view, i)
            _named(panel, f"{view.symbols[i]} {view.interval}")
        _equity(self.panels[-2], x, view)
        _drawdown(self.panels[-1], x, view)
        for panel in self.panels:
            _dressed(panel, view)
        width = max(len(x), 10)
        self.panels[0].set_xlim(x[-1] + 0.2 - width, x[-1] + 1.0)
        self.panels[-1].xaxis.set_major_formatter(FuncFormatter(lambda at, _: _clock(view, at)))
        self.panels[-1].xaxis.set_major_locator(FixedLocator((_round_times(view) + view.first).tolist()))
        self.panels[-1].tick_params(labelbottom=True)
        self._headed(view, count)

    def place(self, panel: int, bar: float, value: float) -> tuple[int, int]:
        """Row and column of the pixel where a panel shows `value` at `bar`; after `frame`."""
        column, height = self.panels[panel].transData.transform((bar, value))
        return round(self.figure.bbox.height - height), round(column)

    def _headed(self, view: View, count: int) -> None:
        at = datetime.fromtimestamp(view.times[-1] / 1000.0, UTC)
        equity, fall = float(view.equity[-1]), float(view.fall[-1])
        gain = equity / view.balance - 1.0
        more = "" if count == len(view.symbols) else f"   {count} of {len(view.symbols)} symbols shown"
        self.figure.text(0.03, 0.955, f"{equity:,.2f}", size=17, weight="bold", color=INK, va="center")
        self.figure.text(
            0.03,
            0.918,
            f"{at:%Y-%m-%d %H:%M} UTC   step {view.first + len(view.times) - 1 - view.start}{more}",
            size=9,
            color=FAINT,
            va="center",
        )
        facts = (
            ("return", f"{gain:+.2%}", INK if gain == 0.0 else RISE if gain > 0.0 else FALL),
            ("drawdown", f"{abs(fall):.2%}", INK),
            ("exposure", f"{view.exposure:+.2f}", INK),
            ("fills", f"{view.fills}", INK),
        )
        for k, (name, value, colour) in enumerate(facts):
            x = 0.895 - 0.105 * (len(facts) - 1 - k)
            self.figure.text(x, 0.955, value, size=12, color=colour, ha="right", va="center")
            self.figure.text(x, 0.918, name, size=9, color=FAINT, ha="right", va="center")


class Window:
    """A picture in a window that follows the episode."""

    def __init__(self) -> None:
        """Raises: ConfigError: there is no display, or nothing that opens a window on it."""
        if sys.platform.startswith("linux") and not (os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")):
            raise ConfigError(
                "render_mode 'human' opens a window, and there is no display here (DISPLAY is not set); "
                "take render_mode='rgb_array'"
            )
        import matplotlib.pyplot as plt  # noqa: PLC0415 - it looks for a display when it is imported

        self._plt = plt
        if plt.get_backend().lower() in {"agg", "cairo", "pdf", "pgf", "ps", "svg", "template"}:
            raise ConfigError(
                f"render_mode 'human' needs a toolkit for windows, matplotlib {mpl.__version__} found none; "
                "install tkinter or PyQt6, or take render_mode='rgb_array'"
            )
        self.picture = Picture(plt.figure("klined", figsize=SIZE_INCHES, dpi=DPI))

    def show(self, view: View) -> None:
        self.picture.draw(view)
        canvas = self.picture.figure.canvas
        self.picture.figure.show()
        canvas.draw_idle()
        canvas.flush_events()

    def close(self) -> None:
        self._plt.close(self.picture.figure)


def _candles(panel: Any, x: NDArray[np.int64], bars: NDArray[np.float64]) -> None:
    """Wicks and bodies; a body of no height is a line."""
    o, h, l, c = bars[:, 1], bars[:, 2], bars[:, 3], bars[:, 4]  # noqa: E741 - as everywhere
    colours = np.where(c >= o, RISE, FALL).tolist()
    wicks = np.stack([np.stack([x, l], axis=1), np.stack([x, h], axis=1)], axis=1)
    panel.add_collection(LineCollection(list(wicks), colors=colours, linewidths=0.8, zorder=2))
    half, least = BODY / 2.0, 0.002 * (h.max() - l.min())
    top, bottom = np.maximum(o, c), np.minimum(o, c)
    top = np.maximum(top, bottom + least)
    corners = [(x - half, bottom), (x - half, top), (x + half, top), (x + half, bottom)]
    bodies = np.stack([np.stack(corner, axis=1) for corner in corners], axis=1)
    panel.add_collection(PolyCollection(list(bodies), facecolors=colours, edgecolors=colours, linewidths=0.5, zorder=3))
    span = max(h.max() - l.min(), 1e-9 * h.max())
    panel.set_ylim(l.min() - 2.2 * GAP * span, h.max() + 2.2 * GAP * span)


def _fills(panel: Any, view: View, symbol: int) -> None:
    """A triangle under a bar that was bought in and over one that was sold in, and a dash at the price."""
    bars = view.bars[symbol]
    gap = GAP * (bars[:, 2].max() - bars[:, 3].min())
    for mark in view.marks:
        if mark.symbol == symbol:
            bar = bars[mark.bar - view.first]
            panel.plot(*marker_of(mark, bar[2], bar[3], gap), **_style(mark))
            panel.hlines(mark.price, mark.bar - 0.6, mark.bar + 0.6, colors=INK, linewidths=1.2, zorder=5)


def marker_of(mark: Mark, high: float, low: float, gap: float) -> tuple[float, float]:
    """Where a fill's marker stands: bar and price."""
    return float(mark.bar), low - gap if mark.lots > 0.0 else high + gap


def _style(mark: Mark) -> dict[str, Any]:
    shape = "X" if mark.liquidated else "^" if mark.lots > 0.0 else "v"
    colour = BOUGHT if mark.lots > 0.0 else SOLD
    return {
        "marker": shape, "markersize": 8, "color": colour, "markeredgecolor": PAPER, "markeredgewidth": 0.6,
        "linestyle": "none", "zorder": 6, "clip_on": True,
    }  # fmt: skip


def _equity(panel: Any, x: NDArray[np.int64], view: View) -> None:
    panel.axhline(view.balance, color=GRID, linewidth=1.2, zorder=1)
    panel.plot(x, view.hold, color=HOLD, linewidth=1.1, zorder=2, label="buy and hold")
    panel.plot(x, view.equity, color=EQUITY, linewidth=1.6, zorder=3, label="equity")
    handles, labels = panel.get_legend_handles_labels()
    panel.legend(
        handles[::-1],
        labels[::-1],
        loc="lower left",
        bbox_to_anchor=(0.0, 0.98),
        ncols=2,
        frameon=False,
        fontsize=9,
        labelcolor=INK,
        borderaxespad=0.0,
        handlelength=1.4,
        columnspacing=1.4,
    )


def _drawdown(panel: Any, x: NDArray[np.int64], view: View) -> None:
    percent = 100.0 * view.fall
    panel.fill_between(x, percent, 0.0, color=FALL, alpha=0.25, linewidth=0.0, zorder=2)
    panel.plot(x, percent, color=FALL, linewidth=1.0, zorder=3)
    lowest = float(np.nanmin(percent))
    panel.set_ylim(min(1.15 * lowest, -0.1), -0.04 * min(1.15 * lowest, -0.1))
    panel.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:.3g} %"))
    _named(panel, "drawdown")


def _named(panel: Any, text: str) -> None:
    panel.text(0.0, 1.02, text, transform=panel.transAxes, size=9, color=INK, va="bottom", ha="left")


def _dressed(panel: Any, view: View) -> None:
    """What all panels have in common; the dotted line is the reset."""
    panel.set_facecolor(PAPER)
    panel.grid(visible=True, color=GRID, linewidth=0.7, zorder=0)
    panel.set_axisbelow(True)
    panel.yaxis.tick_right()
    panel.yaxis.set_major_locator(MaxNLocator(4 if panel.get_position().height > 0.15 else 2, min_n_ticks=2))
    if not isinstance(panel.yaxis.get_major_formatter(), FuncFormatter):
        panel.ticklabel_format(axis="y", useOffset=False, style="plain")
    panel.tick_params(colors=FAINT, labelcolor=INK, labelsize=9, length=0, labelbottom=False)
    for side in panel.spines.values():
        side.set_visible(False)
    if view.start >= view.first:
        panel.axvline(view.start, color=FAINT, linewidth=0.9, linestyle=(0, (2, 3)), zorder=1)


def _round_times(view: View) -> NDArray[np.int64]:
    """Which of the bars open at a round time, at most TIMES_SHOWN of them; the first and last where none does."""
    round_ones = np.arange(0)
    for minutes in ROUND_MINUTES:
        round_ones = np.flatnonzero(view.times % (minutes * 60_000) == 0)
        if len(round_ones) <= TIMES_SHOWN:
            break
    return round_ones if len(round_ones) else np.array([0, len(view.times) - 1])


def _clock(view: View, at: float) -> str:
    """The UTC time of a bar, with the day where one begins."""
    step = round(at) - view.first
    if not 0 <= step < len(view.times):
        return ""
    when = datetime.fromtimestamp(int(view.times[step]) / 1000.0, UTC)
    return f"{when:%H:%M}" if when.hour or when.minute else f"{when:%d %b}"
