"""Tables 2, 3 and 4: quality and calibration of teachers and students."""

from __future__ import annotations

from collections.abc import Sequence

from dash_repro.paper.bounds import bound_lines, quality_notes
from dash_repro.paper.context import (
    COLUMN_METRICS,
    Context,
    PaperTable,
    Sampler,
    dash,
    printed,
    protocol,
    word,
)
from dash_repro.paper.names import dataset_name, model_name
from dash_repro.paper.needs import MIN_SNR_TEACHER, TEACHER
from dash_repro.paper.quality import (
    CALIBRATION_COLUMNS,
    calibration_entries,
    calibration_header,
    decimals_of,
    gap_exponent,
    params_cell,
    quality_entries,
    quality_header,
    teacher_definition,
)
from dash_repro.paper.table import Entry, Line, Table

TEACHER_LABELS = {
    "ddpm": "DDPM †",
    "iddpm": "iDDPM †",
    "edm": "EDM † §",
    "min_snr": "Min-SNR, w = {low:g}",
    "fixed_cfg": "Min-SNR, w = {high:g}",
    "tag_only": "Min-SNR, TAG",
    "tirt_only": "TIRT, w = {low:g}",
    "full": "TIRT, TAG (full)",
}
LITERATURE_NOTES = (
    "† FID and IS as the paper prints them from the literature: not verified here, and "
    "left out where the columns name another metric.",
    "§ Contradicts its source: Karras et al. (2022) give FID 1.97 for unconditional "
    "CIFAR-10, with 35 evaluations of the network, and 1.79 for conditional.",
)
FITNETS_NOTE = (
    "FitNets keeps the anchor term L_{an} (choice): feature losses alone leave the "
    "output convolution without gradient."
)


def table2(context: Context) -> Table:
    """Table 2: components of the teacher; literature rows as printed."""
    paper = context.source("table2_teacher_ablation.csv", "method")
    datasets = context.param("experiments.table2.datasets")
    low = float(context.param("experiments.table2.guidance_scale"))
    high = float(context.param("experiments.sampling.guidance_scale"))
    lines = []
    for row, line in paper.by_id.items():
        label = TEACHER_LABELS[row].format(low=low, high=high)
        literature = line["source"] == "literature"
        build = _literature_entries if literature else _teacher_entries
        entries = build(context, row, paper, datasets)
        lines.append(Line(row, label, tuple(entries), rule=row == "min_snr"))
    lines += bound_lines(context, datasets, ("params_m", "steps"))
    return Table(
        context.item,
        "Teacher components. " + protocol(context, "table2", scales=(low, high)),
        ("Teacher", "Params (M)", "Steps", *quality_header(context, datasets)),
        tuple(lines),
        (("", 3), *((dataset_name(dataset), 2) for dataset in datasets)),
        (*LITERATURE_NOTES, *quality_notes(context, datasets)),
    )


def _literature_entries(
    context: Context, row: str, paper: PaperTable, datasets: Sequence[str]
) -> list[Entry]:
    item = context.item
    cells = [
        word(f"{item}/{row}/{name}", value, "literature", value)
        for name in ("params_m", "steps")
        if (value := paper.value(row, name))
    ]
    for dataset in datasets:
        for column in ("fid", "is"):
            name = f"{dataset}_{column}"
            value, address = paper.value(row, name), f"{item}/{row}/{name}"
            measured = context.collected.find(COLUMN_METRICS[column], dataset=dataset)
            if not value:
                cell = dash(address, "the paper has no value for this dataset")
            elif {one.name for one in measured} != {column.upper()}:
                note = f"the literature's {column.upper()} is not this column's metric"
                cell = dash(address, note, value)
            else:
                cell = printed(address, value, 2)
            cells.append(cell)
    return [Entry((cell,)) for cell in cells]


def teacher_row(context: Context, row: str) -> tuple[str, Sampler]:
    """Teacher and sampler of a row of Table 2."""
    sampling = context.param("experiments.sampling")
    low = float(context.param("experiments.table2.guidance_scale"))
    steps = sampling["steps"]
    model = TEACHER if row in ("tirt_only", "full") else MIN_SNR_TEACHER
    sampler = {
        "min_snr": Sampler("constant", low, steps),
        "tirt_only": Sampler("constant", low, steps),
        "fixed_cfg": Sampler("constant", float(sampling["guidance_scale"]), steps),
    }.get(row, context.sampler(TEACHER))
    return model, sampler


def _teacher_entries(
    context: Context, row: str, paper: PaperTable, datasets: Sequence[str]
) -> list[Entry]:
    model, sampler = teacher_row(context, row)
    profile = context.profile("parameters", datasets[0], model)
    cells = [
        params_cell(context, row, profile, paper.value(row, "params_m")),
        word(
            f"{context.item}/{row}/steps",
            str(sampler.steps),
            paper=paper.value(row, "steps"),
        ),
    ]
    for dataset in datasets:
        for column in ("fid", "is"):
            rows = context.metric(
                COLUMN_METRICS[column],
                "table2",
                dataset,
                model,
                sampler=sampler,
            )
            name = f"{dataset}_{column}"
            cells.append(
                context.measured(
                    f"{row}/{name}",
                    rows,
                    decimals_of(context, column),
                    paper=paper.value(row, name),
                )
            )
    return [Entry((cell,)) for cell in cells]


def group_heads(
    blanks: int, datasets: Sequence[str], per: int = 2
) -> list[tuple[str, int]]:
    return [("", blanks), *((dataset_name(dataset), per) for dataset in datasets)]


def all_notes(
    context: Context, datasets: Sequence[str], students: Sequence[str]
) -> list[str]:
    """Bounds, stand-in and FitNets notes, those that apply."""
    notes = quality_notes(context, datasets)
    return [*notes, *([FITNETS_NOTE] if "fitnets" in students else [])]


def _calibration_group(datasets: Sequence[str]) -> tuple[str, int]:
    names = " / ".join(dataset_name(dataset) for dataset in datasets)
    return f"Calibration ({names})", len(CALIBRATION_COLUMNS)


def _teacher_calibration(context: Context, paper: PaperTable) -> list[Entry]:
    datasets = context.param("experiments.table3.datasets")
    return [
        Entry(
            tuple(
                teacher_definition(context, "teacher", column, dataset, paper)
                for dataset in datasets
            )
        )
        for column in CALIBRATION_COLUMNS
    ]


def _params_and_steps(
    context: Context, row: str, model: str, width: int | None, paper: PaperTable
) -> list[Entry]:
    dataset = context.param("experiments.table3.datasets")[0]
    profile = context.profile("parameters", dataset, model, width)
    steps = word(
        f"{context.item}/{row}/steps",
        str(context.sampler(model).steps),
        paper=paper.value(row, "steps"),
    )
    params = params_cell(context, row, profile, paper.value(row, "params_m"))
    return [Entry((params,)), Entry((steps,))]


def table3(context: Context) -> Table:
    """Table 3: the teacher and every student of the main comparison."""
    paper = context.source("table3_main.csv", "model")
    experiment = context.param("experiments.table3")
    datasets, width = experiment["datasets"], experiment["width"]
    students = experiment["students"]
    exponent = gap_exponent(context, "table3", students, width)
    teacher = [
        *_params_and_steps(context, "teacher", TEACHER, None, paper),
        *quality_entries(context, "table3", "teacher", TEACHER, None, paper),
        *_teacher_calibration(context, paper),
    ]
    lines = [Line("teacher", model_name("teacher"), tuple(teacher))]
    for model in students:
        entries = [
            *_params_and_steps(context, model, model, width, paper),
            *quality_entries(context, "table3", model, model, width, paper),
            *calibration_entries(context, "table3", model, width, paper, exponent),
        ]
        rule = model == students[0]
        lines.append(Line(model, model_name(model), tuple(entries), rule))
    size = ("params_m", "steps")
    lines += bound_lines(context, datasets, size, CALIBRATION_COLUMNS)
    header = ("Model", "Params (M)", "Steps", *quality_header(context, datasets))
    return Table(
        context.item,
        f"Main distillation results at {width} base channels. "
        + protocol(context, "table3"),
        (*header, *calibration_header(exponent)),
        tuple(lines),
        (*group_heads(3, datasets), _calibration_group(datasets)),
        tuple(all_notes(context, datasets, students)),
    )


def _ticks(context: Context, model: str, paper: PaperTable) -> list[Entry]:
    """Which of L_im, L_un, L_an the student's objective has, from its params."""
    block = context.param("students")[model]
    entries = []
    for column, key in (
        ("l_im", "lambda_im"),
        ("l_un", "lambda_un"),
        ("l_an", "lambda_an"),
    ):
        on = block["objective"] == "branches" and block[key] != 0
        address = f"{context.item}/{model}/{column}"
        text = "✓" if on else "✗"
        entries.append(Entry((word(address, text, paper=paper.value(model, column)),)))
    return entries


def table4(context: Context) -> Table:
    """Table 4: dash less one component each, and other timestep weights."""
    paper = context.source("table4_ablation.csv", "configuration")
    experiment = context.param("experiments.table4")
    datasets, width = experiment["datasets"], experiment["width"]
    students = experiment["students"]
    exponent = gap_exponent(context, "table4", students, width)
    lines = []
    for model in students:
        entries = [
            *_ticks(context, model, paper),
            *quality_entries(context, "table4", model, model, width, paper),
            *calibration_entries(context, "table4", model, width, paper, exponent),
        ]
        lines.append(Line(model, model_name(model), tuple(entries)))
    losses = ("l_im", "l_un", "l_an")
    lines += bound_lines(context, datasets, losses, CALIBRATION_COLUMNS)
    ticks = ("L_{im}", "L_{un}", "L_{an}")
    header = ("Configuration", *ticks, *quality_header(context, datasets))
    return Table(
        context.item,
        f"Component ablation at {width} base channels. " + protocol(context, "table4"),
        (*header, *calibration_header(exponent)),
        tuple(lines),
        (*group_heads(4, datasets), _calibration_group(datasets)),
        tuple(all_notes(context, datasets, students)),
    )
