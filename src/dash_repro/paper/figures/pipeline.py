"""Figure 1: how the student is trained, as a diagram."""

from __future__ import annotations

from collections.abc import Sequence

from dash_repro.paper.aggregate import round_half_up
from dash_repro.paper.figures.style import DASHED, GREY, Axes, Figure, Style
from dash_repro.paper.needs import TEACHER, profile
from dash_repro.paper.registry import Section, figure
from dash_repro.paper.rows import Collected

COND, UNCOND, GOLD = "#0072B2", "#D55E00", "#B8860B"
WIDE, LOW, HIGH = 100.0, -2.0, 54.0


def box(
    axes: Axes,
    place: tuple[float, float, float, float],
    text: str,
    color: str,
    size: float,
    fill: str = "white",
) -> None:
    """A rounded box with centred text; place is left, bottom, width, height."""
    from matplotlib.patches import FancyBboxPatch

    left, bottom, width, height = place
    style = "round,pad=0,rounding_size=1.2"
    axes.add_patch(
        FancyBboxPatch((left, bottom), width, height, style, ec=color, fc=fill, lw=1.1)
    )
    middle = left + width / 2, bottom + height / 2
    axes.text(*middle, text, ha="center", va="center", fontsize=size)


def route(
    axes: Axes, points: Sequence[tuple[float, float]], color: str, dashed: bool = False
) -> None:
    """A line through the points with an arrow head at the last."""
    style = DASHED if dashed else "-"
    x, y = zip(*points, strict=True)
    axes.plot(x, y, color=color, lw=1.1, linestyle=style, solid_joinstyle="round")
    axes.annotate(
        "",
        points[-1],
        xytext=points[-2],
        arrowprops={"arrowstyle": "-|>", "color": color, "lw": 1.1, "shrinkB": 0},
    )


def millions(collected: Collected, model: str, width: int | None = None) -> str:
    """Parameters of a network from its profile: "35.8M", "43.2k"."""
    where = {"name": "parameters", "model": model, "width": width}
    number = collected.one("profile", **where).number
    exponent, unit = (-6, "M") if number >= 10**6 else (-3, "k")
    return round_half_up(number.scaleb(exponent), 1) + unit


@figure(
    "figure1",
    title="Training pipeline",
    section=Section.COMPARED,
    needs=(profile("table3", (TEACHER, "dash")),),
    params=("students.dash", "experiments.table3", "experiments.sampling"),
    caption="Training pipeline of the student. The frozen teacher and the student both "
    "run with the label and with the null token; three losses and one copied "
    "curriculum supervise the student.",
    wide=True,
    diagram=True,
)
def figure1(collected: Collected, style: Style) -> Figure:
    """Teacher and student, four branch outputs, three losses, one curriculum."""
    drawing = style.new(1.25, 0.64)
    axes = drawing.add_subplot()
    axes.set(xlim=(0, WIDE), ylim=(LOW, HIGH))
    axes.axis("off")
    size = style.font_size - 1
    sampling = collected.param("experiments.sampling")
    student = millions(collected, "dash", collected.param("experiments.table3.width"))
    _networks(axes, millions(collected, TEACHER), student, size)
    _branches(axes, size)
    _losses(axes, collected.param("students.dash"), size)
    tag = sampling["student_guidance"] == "tag"
    how = "TAG" if tag else f"w = {sampling['guidance_scale']:g}"
    text = f"inference: student alone,\n{sampling['steps']}-step DDIM, {how}"
    route(axes, [(31, 8), (31, 5.2)], GREY)
    axes.text(31, 2.3, text, ha="center", va="center", fontsize=size - 1, color=GREY)
    return drawing


def _networks(axes: Axes, teacher: str, student: str, size: float) -> None:
    box(axes, (1, 20, 13, 12), "image $x_0$,\nlabel y,\nnoise ε, t", GREY, size)
    teacher_text = f"Teacher $\\varepsilon_T$\n{teacher}, frozen"
    student_text = f"Student $\\varepsilon_S$\n{student}, trained"
    box(axes, (22, 32, 18, 14), teacher_text, GREY, size, "#F0F0F0")
    box(axes, (22, 8, 18, 14), student_text, COND, size, "#E8F2FA")
    route(axes, [(14, 28), (18, 28), (18, 39), (22, 39)], GREY)
    route(axes, [(14, 24), (18, 24), (18, 15), (22, 15)], GREY)
    axes.text(17.3, 26, "$x_t$", ha="left", va="center", fontsize=size)


def _branches(axes: Axes, size: float) -> None:
    """The two outputs of each network; label above, null token below."""
    places = (
        (42.5, "T", "y", COND),
        (35.5, "T", r"\varnothing", UNCOND),
        (18.5, "S", "y", COND),
        (11.5, "S", r"\varnothing", UNCOND),
    )
    for y, network, branch, color in places:
        route(axes, [(40, y), (47, y)], color)
        text = rf"$\varepsilon_{network}^{{{branch}}}$"
        box(axes, (47, y - 2.6, 7, 5.2), text, color, size)


def _losses(axes: Axes, block: dict[str, float], size: float) -> None:
    """Three losses with their weights, the curriculum that weights them, and rho."""
    from matplotlib.patches import FancyBboxPatch

    for y, name, color in ((36, "im", COND), (25, "un", UNCOND), (13, "an", COND)):
        weight = f"{block[f'lambda_{name}']:g}"
        text = rf"{weight} · $\mathcal{{L}}_{{\mathrm{{{name}}}}}$"
        box(axes, (68, y - 3, 12, 6), text, color, size)
        route(axes, [(80, y), (85, y), (85, 25), (88, 25)], GREY)
    box(axes, (88, 20.5, 11, 9), "$\\mathcal{L}$\nstudent", GREY, size)
    route(axes, [(54, 42.5), (64, 42.5), (64, 37.2), (68, 37.2)], COND)
    route(axes, [(54, 18.5), (62, 18.5), (62, 34.8), (68, 34.8)], COND)
    route(axes, [(54, 35.5), (58, 35.5), (58, 26.2), (68, 26.2)], UNCOND)
    route(axes, [(54, 11.5), (58, 11.5), (58, 23.8), (68, 23.8)], UNCOND)
    route(axes, [(62, 18.5), (62, 14.2), (68, 14.2)], COND)
    noise = [(7.5, 20), (7.5, -1.2), (62, -1.2), (62, 11.8), (68, 11.8)]
    route(axes, noise, GREY, True)
    axes.text(61, 4, "noise ε", ha="right", fontsize=size - 1, color=GREY, va="center")
    frame = FancyBboxPatch((65.8, 8), 16.4, 33, "round,pad=0,rounding_size=1.2")
    frame.set(ec=GOLD, fc="none", lw=1.1, ls=DASHED)
    axes.add_patch(frame)
    route(axes, [(31, 46), (31, 49.5), (74, 49.5), (74, 41)], GOLD, True)
    text = r"TIRT Transfer: weights $\hat{\omega}_t^T$, copied and frozen"
    axes.text(52.5, 50.2, text, ha="center", va="bottom", fontsize=size, color=GOLD)
    text = "monitor\n" + r"$\rho=\mathrm{E}\|\Delta_S\|/\mathrm{E}\|\Delta_T\|$"
    axes.text(82, 3.2, text, ha="center", va="center", fontsize=size, color=GREY)
