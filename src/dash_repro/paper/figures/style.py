"""How figures look: sizes, colours, direct labels, and bytes that repeat."""

from __future__ import annotations

import itertools
import math
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dash_repro.paper.figures.labels import FONT
from dash_repro.paper.scale import mark

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.axis import Axis
    from matplotlib.figure import Figure
else:  # matplotlib takes half a second, and the Snakefile imports the figures' modules
    Axes = Axis = Figure = Any

GREY = "#666666"
LIGHT = "#D0D0D0"
DASHED = (0, (4, 2))
PANEL = 0.47  # width of a panel, as a share of a full-width figure
_OTHERS = ("#7A5195", "#8C564B", "#4D4D4D", "#B59F00")  # of rows without one
GOLDEN = 0.618034  # steps of this share of the circle leave no two hues close
Label = tuple[float, float, str, str]  # x, y in data coordinates, text, colour


@dataclass(frozen=True)
class Style:
    """Section plot_figure of params.yaml, and whether this is a demo.

    Attributes:
        dpi, font_size (points), width (inches), palette: as in params.yaml.
        scale: as in params.yaml.
        note: seeds and counts behind the figure, in small letters below it.
        given: colours of rows that the palette lacks.
    """

    dpi: int
    font_size: float
    width: float
    palette: Mapping[str, str]
    scale: str
    note: str = ""
    given: dict[str, str] = field(default_factory=dict)

    @classmethod
    def from_params(cls, plot_figure: Mapping[str, Any], scale: str) -> Style:
        """The style that section plot_figure of params.yaml describes."""
        return cls(**plot_figure, scale=scale)

    def color(self, model: str) -> str:
        """Colour of a row; no two rows of a figure share one.

        A row that the palette lacks has its tone from its name, the next one free.
        """
        name = "teacher" if model.startswith("teacher") else model
        known = {**self.palette, **self.given}
        if name not in known:
            tones = _tones(sum(map(ord, name)))
            known[name] = next(tone for tone in tones if tone not in known.values())
            self.given[name] = known[name]
        return known[name]

    def new(self, width: float = 1.0, height: float = 0.4) -> Figure:
        """A figure of a share of the full width, and a height in the same unit.

        The note below it makes it higher.
        """
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure

        foot = len(self.foot(self.width * width)) * self.line / 72
        size = (self.width * width, self.width * height + foot)
        figure = Figure(figsize=size, layout="constrained")
        share = foot / size[1]
        figure.get_layout_engine().set(rect=(0, share, 1, 1 - share))
        FigureCanvasAgg(figure)
        return figure

    @property
    def line(self) -> float:
        """Height of a line below a figure, in points."""
        return 1.3 * (self.font_size - 2)

    def foot(self, width: float) -> list[str]:
        """The lines below a figure of that width in inches, right of the scale's mark.

        An empty line where there is only the mark.
        """
        letter = 0.55 * (self.font_size - 2)  # of DejaVu Sans, on average
        short = mark(self.scale).short
        room = int(width * 72 / letter) - len(short) - 3
        lines = textwrap.wrap(self.note, max(room, 12), break_on_hyphens=False)
        return lines or ([""] if short else [])

    @contextmanager
    def applied(self) -> Iterator[None]:
        """Settings of text, lines and axes, for what is drawn inside.

        All others are matplotlib's own, whatever a matplotlibrc of the user's says.
        """
        import matplotlib

        small = self.font_size - 1.5
        settings = {
            "font.size": self.font_size,
            "font.family": FONT,
            "mathtext.fontset": "dejavusans",
            "axes.titlesize": self.font_size,
            "axes.labelsize": self.font_size,
            "axes.spines.top": False,
            "axes.spines.right": False,
            "axes.linewidth": 0.7,
            "axes.edgecolor": GREY,
            "axes.labelcolor": "#222222",
            "xtick.labelsize": small,
            "ytick.labelsize": small,
            "xtick.color": GREY,
            "ytick.color": GREY,
            "xtick.labelcolor": "#222222",
            "ytick.labelcolor": "#222222",
            "xtick.major.size": 2.5,
            "ytick.major.size": 2.5,
            "lines.linewidth": 1.5,
            "legend.frameon": False,
            "legend.fontsize": small,
            "pdf.fonttype": 42,
            "path.simplify": False,
        }
        defaults = dict(matplotlib.rcParamsDefault)
        defaults.pop("backend")
        with matplotlib.rc_context({**defaults, **settings}):
            yield


def _tones(start: int) -> Iterator[str]:
    """The few tones of `_OTHERS`, from that one on; then dark ones without end."""
    from matplotlib.colors import hsv_to_rgb, to_hex

    yield from (_OTHERS[(start + i) % len(_OTHERS)] for i in range(len(_OTHERS)))
    for step in itertools.count(1):
        yield to_hex(hsv_to_rgb((step * GOLDEN % 1, 0.75, 0.6)))


def save(figure: Figure, style: Style, pdf: Path, png: Path) -> None:
    """Write both files; equal figures give equal bytes (no dates, no versions)."""
    _write_foot(figure, style)
    _settle(figure)
    none = {"Creator": None, "Producer": None, "CreationDate": None}
    figure.savefig(pdf, format="pdf", metadata=none)
    figure.savefig(png, format="png", dpi=style.dpi, metadata={"Software": None})


def _settle(figure: Figure) -> None:
    """Lay the figure out and leave it so, at positions of six decimals.

    The solver's last bits differ from run to run, and so would the file's.
    """
    figure.draw_without_rendering()
    figure.set_layout_engine("none")
    for axes in figure.axes:
        axes.set_position([round(one, 6) for one in axes.get_position(True).bounds])


def _write_foot(figure: Figure, style: Style) -> None:
    """Write below the figure what scale its numbers are of, and its note."""
    small = {"va": "bottom", "fontsize": style.font_size - 2}
    width, height = figure.get_size_inches()
    lines = "\n".join(style.foot(width))
    red = {"color": "#B00020", "fontstyle": "italic", "gid": "scale"}
    for x, align, text, look in (
        (0.004, "left", mark(style.scale).short, red),
        (0.996, "right", lines, {"color": GREY, "linespacing": 1.1, "gid": "data"}),
    ):
        if text:
            figure.text(x, 1 / 72 / height, text, ha=align, **small, **look)


def end_labels(axes: Axes, labels: Sequence[Label], size: float) -> None:
    """Name lines at their right ends, moved apart where they would overlap.

    Args:
        labels: of each line, at its end.
        size: of the text, points.
    """
    figure = axes.get_figure()
    height = axes.get_position().height * figure.get_size_inches()[1] * 72
    low, high = axes.get_ylim()
    log = axes.get_yscale() == "log"

    def down(y: float) -> float:
        return axes.transData.transform((labels[0][0], y))[1] if log else y

    figure.draw_without_rendering()
    span = abs(down(high) - down(low)) or 1.0
    step = 1.15 * size / height * span
    places = sorted((down(y), index) for index, (_, y, _, _) in enumerate(labels))
    ends = sorted((down(low), down(high)))
    moved = spread([place for place, _ in places], step, *ends)
    for (place, index), at in zip(places, moved, strict=True):
        x, y, text, color = labels[index]
        points = (at - place) / span * height
        axes.annotate(
            text,
            (x, y),
            xytext=(4, points),
            textcoords="offset points",
            color=color,
            fontsize=size,
            va="center",
            annotation_clip=False,
        )


def spread(
    places: Sequence[float], step: float, low: float, high: float
) -> list[float]:
    """Ascending places moved as little as a few sweeps find, to be `step` apart.

    Args:
        places: ascending.
        low, high: kept within these, as far as there is room.
    """
    moved = list(places)
    for _ in range(300):
        for index in range(len(moved) - 1):
            lack = step - (moved[index + 1] - moved[index])
            if lack > 0:
                moved[index] -= lack / 2
                moved[index + 1] += lack / 2
        moved = [min(max(place, low), high) for place in moved]
    return moved


def log_ticks(axis: Axis, low: float, high: float) -> None:
    """Few, plainly written ticks of a logarithmic axis that spans low to high."""
    from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

    decades = range(math.floor(math.log10(low)) - 1, math.ceil(math.log10(high)) + 1)
    for digits in ((1,), (1, 3), (1, 2, 5), (1, 2, 3, 5, 7)):
        ticks = [digit * 10.0**power for power in decades for digit in digits]
        ticks = [tick for tick in ticks if low <= tick <= high]
        if len(ticks) >= 3:
            break
    axis.set_major_locator(FixedLocator(ticks))
    axis.set_minor_locator(NullLocator())
    axis.set_major_formatter(FuncFormatter(lambda value, _: _tick_text(value)))


def _tick_text(value: float) -> str:
    if 0.001 <= value < 10000:
        return f"{value:g}"
    digits, power = f"{value:.0e}".split("e")
    factor = "" if digits == "1" else rf"{digits}\cdot "
    return f"${factor}10^{{{int(power)}}}$"
