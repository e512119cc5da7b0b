"""Figures: something is drawn, the right thing, and the same bytes every time."""

import hashlib
from dataclasses import replace
from types import SimpleNamespace

import matplotlib
import numpy as np
import pytest
from marks import slow_but
from matplotlib.collections import PathCollection
from matplotlib.layout_engine import ConstrainedLayoutEngine
from paper_fixtures import SIDE, Workspace, small_params
from PIL import Image
from scipy.stats import spearmanr

from dash_repro.arrays import load_npz, read_json
from dash_repro.paper.figures import make
from dash_repro.paper.figures import style as look
from dash_repro.paper.figures.grids import GAP, tile
from dash_repro.paper.figures.make import build_figure
from dash_repro.paper.figures.pipeline import millions
from dash_repro.paper.figures.style import Style, spread
from dash_repro.paper.images import PAPER_CLASSES, select_images, shown_classes
from dash_repro.paper.items import ITEMS
from dash_repro.paper.rows import CollectedError, Row, read_rows, write_rows
from dash_repro.paper.scale import mark

FIGURES = [item for item, spec in ITEMS.items() if spec.kind == "figure"]
QUICK = ("figure3", "figure4a", "figure6", "figureD6")  # a scheme, curves, grids


@pytest.fixture(scope="module")
def workspace(tmp_path_factory):
    return Workspace(tmp_path_factory.mktemp("figures"), small_params())


def drawn(workspace, item):
    style = Style.from_params(workspace.params["plot_figure"], "paper")
    return build_figure(item, workspace.data(item), style)


def texts(figure):
    return [
        text.get_text()
        for text in figure.findobj(match=lambda a: hasattr(a, "get_text"))
    ]


@pytest.mark.parametrize("item", slow_but(QUICK, FIGURES))
def test_every_figure_has_ink_and_repeats(workspace, item):
    first = workspace.figure(item)
    pixels = np.asarray(Image.open(first).convert("L"), dtype=float)
    assert pixels.std() > 5 and pixels.shape[1] > 400
    margin = (pixels[:, 0] < 250).mean()
    assert margin < 0.9
    pair = first, first.with_suffix(".pdf")
    before = [hashlib.md5(path.read_bytes()).hexdigest() for path in pair]
    # with a matplotlibrc of the user's, too
    with matplotlib.rc_context({"axes.facecolor": "red", "text.usetex": True}):
        workspace.figure(item)
    assert before == [hashlib.md5(path.read_bytes()).hexdigest() for path in pair]
    assert b"CreationDate" not in pair[1].read_bytes()


@pytest.mark.slow
@pytest.mark.parametrize("item", ["figureS1", "figure5a"])
def test_the_last_bits_of_a_layout_move_no_byte(workspace, item, monkeypatch):
    """They depend on the order of the solver's variables, and PDFs differed by them."""
    place, files = ConstrainedLayoutEngine.execute, []

    def noisy(engine, figure):
        place(engine, figure)
        for axes in figure.axes:
            bounds = np.array(axes.get_position(True).bounds) * (1 + 3e-13)
            axes._set_position(bounds)

    for execute in (place, noisy):
        monkeypatch.setattr(ConstrainedLayoutEngine, "execute", execute)
        png = workspace.figure(item)
        files.append([png.read_bytes(), png.with_suffix(".pdf").read_bytes()])
    assert files[0] == files[1]


def test_figures_of_another_scale_say_so_and_the_papers_do_not(workspace, tmp_path):
    from dash_repro.paper.figures.make import plot_figure

    sizes = {}
    for scale in ("demo", "study", "paper"):
        pdf = tmp_path / f"{scale}.pdf"
        png = tmp_path / f"{scale}.png"
        settings = workspace.params["plot_figure"]
        outputs = [pdf, png, tmp_path / f"{scale}.json"]
        data = workspace.data("figure4a")
        plot_figure("figure4a", data, [], scale, settings, outputs)
        said = read_json(outputs[2])["data"]
        assert ("Demo scale" in said) == (scale == "demo")
        assert ("Small-scale study" in said) == (scale == "study")
        pixels = np.asarray(Image.open(png).convert("RGB"), dtype=int)
        red = (pixels[..., 0] - pixels[..., 1] > 100) & (pixels[..., 2] < 90)
        sizes[scale] = int(red.sum())
    assert sizes["study"] > sizes["demo"] > 20 and sizes["paper"] == 0
    diagrams = {item for item in FIGURES if ITEMS[item].diagram}
    assert diagrams == {"figure1", "figure2", "figure3"}


SEEDS = "training seeds 42, 123; sampling seed 0; 10000 samples"
MEMBERS = [{"dataset": "cifar10", "seed": "42", "sampling_seed": "0"}]


@pytest.mark.parametrize(
    ("item", "members", "says"),
    [
        ("figure5c", [], SEEDS),
        ("figureS2", [], "training seed 42"),
        ("figure6", MEMBERS, "training seed 42; sampling seed 0"),
    ],
)
@pytest.mark.slow
@pytest.mark.parametrize("scale", ["paper", "study"])
def test_a_picture_that_travels_alone_says_seeds_and_counts(
    workspace, tmp_path, monkeypatch, item, members, says, scale
):
    """Below what is drawn, on lines that leave the mark of the scale free."""
    drawn, settings = [], workspace.params["plot_figure"]
    monkeypatch.setattr(make, "save", lambda *of: (drawn.append(of[0]), look.save(*of)))
    outputs = [tmp_path / f"one.{suffix}" for suffix in ("pdf", "png", "json")]
    make.plot_figure(item, workspace.data(item), members, scale, settings, outputs)
    (figure,) = drawn
    figure.canvas.draw()  # at its own resolution, not that of the file
    told = {text.get_gid(): text for text in figure.texts}
    assert told["data"].get_text().replace("\n", " ").replace("\u00a0", " ") == says
    below = told["data"].get_window_extent()
    assert below.x0 >= 0 and below.y0 >= 0 and below.x1 <= figure.bbox.x1
    inside = [axes.get_tightbbox() for axes in figure.axes if axes.get_visible()]
    inside += [legend.get_window_extent() for legend in figure.legends]
    assert below.y1 <= min(box.y0 for box in inside) + 2
    assert ("scale" in told) == (scale == "study")
    if scale == "study":
        assert told["scale"].get_window_extent().x1 < below.x0


@pytest.mark.parametrize(
    ("item", "lines"),
    [("figure4a", 3), ("figure4b", 2), ("figure4c", 4), ("figure5a", 3)],
)
def test_curve_panels_have_their_lines_and_direct_labels(workspace, item, lines):
    (axes,) = drawn(workspace, item).axes
    assert len(axes.get_lines()) == lines  # 4c, 5a: one line marks rho = 1
    assert axes.get_legend() is None
    assert len(axes.texts) == lines - (item in ("figure4c", "figure5a"))


def test_curves_are_means_over_seeds(workspace):
    rows = read_rows(workspace.data("figure5a")).find("rho_step", model="no_un")
    last = [float(row.value) for row in rows if row.step == "30"]
    (axes,) = drawn(workspace, "figure5a").axes
    ends = [line.get_ydata()[-1] for line in axes.get_lines()]
    assert any(end == pytest.approx(np.mean(last)) for end in ends)


def test_scatter_leaves_out_undefined_cosines_and_says_so(workspace):
    figure = drawn(workspace, "figure5b")
    names = " ".join(texts(figure))
    (axes,) = figure.axes
    assert "ρ < 0.1: Conditional only" in names
    big = [line for line in axes.get_lines() if line.get_marker() == "o"]
    # table3 and table4 students, dash once, less scratch and cond_only
    assert len(big) == 9


def test_pareto_has_every_model_at_every_width(workspace):
    (axes,) = drawn(workspace, "figure5c").axes
    marked = [line for line in axes.get_lines() if line.get_marker() in "*o"]
    lengths = sorted(len(line.get_xdata()) for line in marked)
    assert lengths == [1, 1, 1, 1, 1, 3, 3]  # four students, teacher; scratch, dash
    assert "FD-EffNetLite0" in axes.get_ylabel()
    places = [x for line in marked for x in line.get_xdata()]
    assert len(set(places)) == len(places) == 11  # no two lie on one another


def test_pareto_bars_reach_from_the_lowest_to_the_highest_seed(workspace):
    rows = read_rows(workspace.data("figure5c")).find("frechet", model="composite")
    (axes,) = drawn(workspace, "figure5c").axes
    bars = [
        bar for c in axes.collections for bar in np.array(c.get_segments())[:, :, 1]
    ]
    values = sorted(float(row.value) for row in rows)
    assert len(values) == 2
    assert any(sorted(bar) == pytest.approx([values[0], values[-1]]) for bar in bars)


def test_rows_that_the_palette_lacks_never_share_a_colour():
    palette = {"dash": "#0072B2", "teacher": "#000000"}
    style = Style(100, 9.0, 5.5, palette, "paper")
    names = [f"student{i}" for i in range(40)] + ["ab", "ba"]  # letters of one sum
    colors = [style.color(name) for name in (*names, "dash", "teacher_tirt")]
    assert len(set(colors)) == 44
    assert [style.color(name) for name in names] == colors[:42]
    other = Style(100, 9.0, 5.5, palette, "paper")
    assert other.color("ba") == Style(100, 9.0, 5.5, palette, "demo").color("ba")


@pytest.mark.parametrize(
    ("item", "said"),
    [
        ("figure1", ""),
        (
            "figure5c",
            "Data: CIFAR-10; students of 48, 64 and 96 base channels; DDIM with 50 "
            "steps; w = 4; the teacher with TAG, w_{max} = 4; training seeds 42, 123; "
            "sampling seed 0; 10000 samples a point.",
        ),
        (
            "figure7",
            "Data: CIFAR-10; students of 64 base channels; DDIM with 50, 25, 10 and 5 "
            "steps; w = 4; training seed 42; sampling seed 0.",
        ),
    ],
)
def test_captions_say_whose_numbers_are_shown(workspace, item, said):
    shown = read_json(workspace.figure(item).with_suffix(".json"))
    assert shown["data"] == (f"{said} {mark('demo').caption}" if said else "")
    assert shown["caption"] == ITEMS[item].caption


def test_curriculum_figure_draws_snapshots_and_loss(workspace):
    figure = drawn(workspace, "figureS1")
    panels = [axes for axes in figure.axes if axes.get_subplotspec() is not None][:8]
    assert len(panels) == 8
    assert len(panels[0].get_lines()) == 6
    dots = [c for c in panels[3].collections if isinstance(c, PathCollection)]
    assert len(dots) == 1 and len(dots[0].get_offsets()) == 40


def test_weightings_are_told_by_formula_and_by_their_rank_with_the_loss(workspace):
    """A column a teacher; the number beneath is that of its own last snapshot."""
    figure = drawn(workspace, "figureS5")
    above, below = figure.axes[:2], figure.axes[2:4]
    heads = [axes.get_title() for axes in above]
    assert "/ SNR" in heads[0] and "all timesteps" in heads[0]
    assert "/ SNR" not in heads[1] and "the batch" in heads[1]
    rows = read_rows(workspace.data("figureS5"))
    for axes, teacher in zip(below, ("teacher_tirt", "teacher_tirt_code"), strict=True):
        learned = rows.find("lambda_snapshot", model=teacher)
        last = str(max(int(row.step) for row in learned))
        learned = rows.find("lambda_snapshot", model=teacher, step=last)
        losses = {row.x: row for row in rows.find("loss_mean", model=teacher)}
        pairs = [(float(row.value), float(losses[row.x].value)) for row in learned]
        expected = spearmanr(pairs)
        (text,) = [text.get_text() for text in axes.texts]  # sigmoid keeps the order
        shown = f"rank\ncorrelation {expected.statistic:+.2f}"
        assert text == shown.replace("-", "\u2212")


def test_pareto_does_not_mix_datasets(workspace):
    path = workspace.data("figure5c")
    rows = read_rows(path).rows
    mixed = [
        replace(row, dataset="letters") if row.width == "48" else row for row in rows
    ]
    assert mixed != rows
    write_rows(path, mixed)
    try:
        with pytest.raises(CollectedError, match=r"datasets .*letters"):
            drawn(workspace, "figure5c")
    finally:
        write_rows(path, rows)


def test_gap_over_training_of_no_student_is_an_empty_panel(workspace):
    path = workspace.data("figure5a")
    rows = read_rows(path).rows
    write_rows(path, [])
    try:
        (axes,) = drawn(workspace, "figure5a").axes
    finally:
        write_rows(path, rows)
    assert len(axes.get_lines()) == 1, "that of a ratio of 1"


def test_guidance_figure_shows_those_beside_the_tables_student(workspace):
    left, right = drawn(workspace, "figureS6").axes
    rows = read_rows(workspace.data("figureS6"))
    assert (left.get_yscale(), right.get_yscale()) == ("linear", "linear")
    for axes, metric in ((left, "frechet"), (right, "class_accuracy")):
        names = {text.get_text() for text in axes.texts}
        assert names == {"DASH", "Composite", "Teacher"}
        shown = [tuple(line.get_ydata()) for line in axes.get_lines()]
        for model in ("dash", "composite", "teacher_tirt"):
            found = rows.find(metric, model=model)
            found = sorted((float(row.scale), float(row.value)) for row in found)
            assert tuple(value for _, value in found) in shown
    assert rows.find("frechet", model="composite")
    assert right.yaxis.get_major_formatter()(0.5).endswith("%")


def test_guidance_figure_is_logarithmic_where_one_network_fails(workspace):
    path = workspace.data("figureS6")
    rows = read_rows(path).rows
    failed = [
        replace(row, value="900.5") if "composite" in row.model else row for row in rows
    ]
    assert failed != rows
    write_rows(path, failed)
    try:
        left, right = drawn(workspace, "figureS6").axes
    finally:
        write_rows(path, rows)
    assert (left.get_yscale(), right.get_yscale()) == ("log", "linear")
    low, high = left.get_ylim()
    values = [float(row.value) for row in failed if row.metric == "frechet"]
    assert 0 < low < min(values) and max(values) == 900.5 < high


@pytest.mark.parametrize(
    ("parameters", "said"),
    [(35_751_555, "35.8M"), (1_000_000, "1.0M"), (43_169, "43.2k"), (216, "0.2k")],
)
def test_sizes_of_networks_are_told_in_their_unit(parameters, said):
    row = Row(
        item="figure1", metric="profile", name="parameters", value=str(parameters)
    )
    collected = SimpleNamespace(one=lambda *_, **__: row)
    assert millions(collected, "dash") == said


def test_training_figure_shows_every_student(workspace):
    figure = drawn(workspace, "figureS2")
    visible = [axes for axes in figure.axes if axes.get_visible()]
    assert len(visible) == 2 * 11
    (legend,) = figure.legends
    named = [text.get_text() for text in legend.get_texts()]
    assert named[:2] == ["with the label", "with the null token"]
    solid, dashed = (line.is_dashed() for line in legend.get_lines()[:2])
    (below, *_) = [a.get_lines() for a in visible if a.get_ylabel() == "error"]
    assert [line.is_dashed() for line in below] == [solid, dashed] == [False, True]


def test_architectures_show_channels_counts_and_attention(workspace):
    words = texts(drawn(workspace, "figure2"))
    joined = " ".join(words)
    assert "Teacher, 35.8M" in joined and "Student, 6.1M" in joined
    assert words.count("256 ★") == 3 and words.count("128 ★") == 3
    assert words.count("64") == 2


def test_collapse_lies_on_the_line_and_has_no_gap(workspace):
    """Residuals at the collapse marker satisfy Eq. 12 and cancel the teacher's gap."""
    left = drawn(workspace, "figure3").axes[0]
    points = [line for line in left.get_lines() if line.get_marker() == "o"]
    w = 4.0
    for point in points:
        y, null = float(point.get_xdata()[0]), float(point.get_ydata()[0])
        assert w * y + (1 - w) * null == pytest.approx(0, abs=1e-12)
    y, null = points[-1].get_xdata()[0], points[-1].get_ydata()[0]
    gap = null / w  # Delta_T, of which delta^y - delta^0 must be the negative
    assert y - null == pytest.approx(-gap)


def test_tiles_hold_the_images_unchanged():
    images = np.random.default_rng(0).integers(0, 256, (2, 3, 4, 4, 3), dtype=np.uint8)
    picture = tile(images)
    assert picture.shape == (2 * 4 + GAP, 3 * 4 + 2 * GAP, 3)
    assert (picture[4 + GAP :, 2 * (4 + GAP) :] == images[1, 2]).all()
    assert (picture[4 : 4 + GAP] == 255).all()


def test_matched_grids_show_the_same_indices_of_both(workspace):
    arrays = load_npz(workspace.data("figure6"), ["images", "labels", "groups"])
    assert arrays["images"].shape == (2, 5, 7, SIDE, SIDE, 3)
    assert arrays["groups"].tolist() == ["Teacher", "DASH student"]
    assert (arrays["labels"][0] == arrays["labels"][1]).all()
    id = "cifar10-teacher_tirt-s42-tag4.0-k50-n0"
    source = workspace.root / "generate_samples" / id / "samples.npz"
    images = load_npz(source, ["images"])["images"]
    assert (arrays["images"][0, 4, 6] == images[34]).all()


def test_step_grids_run_from_most_to_fewest_steps(workspace):
    arrays = load_npz(workspace.data("figure7"), ["images", "groups", "instances"])
    assert arrays["groups"].tolist() == ["50 steps", "25 steps", "10 steps", "5 steps"]
    assert all(
        f"-k{k}-" in id
        for k, id in zip((50, 25, 10, 5), arrays["instances"], strict=True)
    )
    assert arrays["images"].shape[:3] == (4, 4, 4)


def test_class_columns_hold_five_of_their_class(workspace):
    arrays = load_npz(workspace.data("figureD2"), ["labels", "columns"])
    assert arrays["labels"].shape == (1, 5, 10)
    assert (arrays["labels"][0] == np.arange(10)).all()
    assert len(arrays["columns"]) == 10


def test_the_papers_ten_classes_are_used_where_they_exist():
    names = sorted({*PAPER_CLASSES, *(f"other {i}" for i in range(90))})
    assert [names[i] for i in shown_classes(names)] == list(PAPER_CLASSES)
    assert shown_classes([f"c{i}" for i in range(30)]) == list(range(10))
    assert shown_classes(["a", "b"]) == [0, 1]


def test_pairs_follow_the_ranking(workspace):
    arrays = load_npz(workspace.data("figureD6"), ["images", "distances", "instances"])
    pairs = read_json(workspace.root / "rank_pairs" / "cifar10" / "pairs.json")
    assert arrays["distances"].tolist() == pairs["distances"]
    id = str(arrays["instances"][1])
    assert "-dash-" in id
    source = workspace.root / "generate_samples" / id / "samples.npz"
    images = load_npz(source, ["images"])["images"]
    assert (arrays["images"][1, 0] == images[pairs["indices"]]).all()


def test_the_closest_pairs_are_those_of_samples_and_of_held_out_images(workspace):
    arrays = load_npz(workspace.data("figureS3"), ["images", "labels", "distances"])
    (id,) = load_npz(workspace.data("figureS3"), ["instances"])["instances"]
    assert id == "cifar10-dash-w64-s42-cfg4.0-k50-n0"
    made = load_npz(
        workspace.root / "generate_samples" / id / "samples.npz", ["images"]
    )
    real = load_npz(workspace.root / "prepare_data/cifar10/images.npz", ["test_images"])
    files = (
        f"compute_metrics/{id}/metrics.json",
        "extract_reference/cifar10/bounds.json",
    )
    own, held_out = (read_json(workspace.root / path)["closest"] for path in files)
    wanted = [
        made["images"][own["samples"]],
        real["train_images"][own["training"]],
        real["test_images"][held_out["samples"]],
        real["train_images"][held_out["training"]],
    ]
    assert (arrays["images"][:, 0] == np.stack(wanted)).all()
    assert (arrays["labels"][2, 0] == real["test_labels"][held_out["samples"]]).all()
    assert arrays["distances"].tolist() == own["ratios"] + held_out["ratios"]
    figure = drawn(workspace, "figureS3")
    above, below = figure.axes
    shown = [[text.get_text() for text in axes.texts] for axes in (above, below)]
    assert shown == [[f"{r:.2f}" for r in one["ratios"]] for one in (own, held_out)]
    names = [tick.get_text() for tick in below.get_yticklabels()]
    assert names == ["held-out image", "nearest in training"]


def test_too_few_images_are_an_error_with_the_key():
    from dash_repro.paper.images import Samples

    images = np.zeros((10, 4, 4, 3), np.uint8)
    member = {"model": "dash", "steps": 50}
    samples = [Samples("x", member, images, np.arange(10))]
    with pytest.raises(CollectedError, match="num_samples"):
        select_images("grid 4x4", samples, np.array(["a"]), None)
    classes = np.array(list("abcdefghij"))
    chosen = select_images("classes", samples, classes, None)
    assert chosen["images"].shape[:3] == (1, 1, 10)  # one of each is all there is
    with pytest.raises(CollectedError, match="of a class"):
        one = Samples("x", member, images, np.zeros(10, np.int64))
        select_images("classes", [one], classes, None)


def test_labels_are_spread_apart_in_order_and_kept_inside():
    moved = spread([0.0, 0.0, 0.05, 2.0], 0.5, -1.0, 3.0)
    assert moved == sorted(moved)
    assert min(np.diff(moved)) >= 0.49
    assert spread([0.0, 1.0], 0.5, 0.0, 1.0) == [0.0, 1.0]
    assert max(spread([0.9, 1.0, 1.0], 0.3, 0.0, 1.0)) <= 1.0
