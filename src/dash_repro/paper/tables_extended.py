"""Tables C5, C6, C7 and the anchor table: steps, width, guidance, lambda_an."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from dash_repro.paper.aggregate import Cell
from dash_repro.paper.bounds import bound_lines, bound_row, quality_notes
from dash_repro.paper.context import (
    Context,
    PaperTable,
    Sampler,
    protocol,
    value_of,
    word,
)
from dash_repro.paper.names import dataset_name, model_name
from dash_repro.paper.needs import TEACHER
from dash_repro.paper.quality import (
    measured_calibration,
    params_cell,
    quality_entries,
    quality_header,
    teacher_definition,
)
from dash_repro.paper.rows import Row
from dash_repro.paper.table import Entry, Line, Table
from dash_repro.paper.tables_main import group_heads

GAP_NOTE = (
    "Gap: student minus teacher, from the unrounded values; it may differ in the last "
    "digit from the difference of the printed ones."
)


def _gap_lines(
    context: Context,
    experiment: str,
    dataset: str,
    prefix: str,
    paper: PaperTable,
    samplers: Sequence[tuple[str, Sampler, Sampler]],
) -> list[Line]:
    """Teacher, student, gap and bounds; a column per (column, teacher's, student's)."""
    block = context.param(f"experiments.{experiment}")
    student, decimals = block["student"], context.settings["decimals"]
    boxes: dict[str, list[Entry]] = {"teacher": [], student: [], "gap": []}
    for column, for_teacher, for_student in samplers:
        place = ("frechet", experiment, dataset)
        teacher = context.metric(*place, TEACHER, None, for_teacher)
        rows = context.metric(*place, student, block["width"], for_student)
        for row, found in (("teacher", teacher), (student, rows)):
            cell = context.measured(
                f"{prefix}{row}/{column}",
                found,
                decimals,
                paper=paper.value(f"{prefix}{row}", column),
            )
            boxes[row].append(Entry((cell,)))
        gap = _gap_cell(context, f"{prefix}gap/{column}", rows, teacher)
        boxes["gap"].append(Entry((gap,)))
    names = {"gap": "Gap", student: f"{model_name(student)}, {block['width']} channels"}
    lines = [
        Line(prefix + row, names.get(row, model_name(row)), tuple(entries))
        for row, entries in boxes.items()
    ]
    columns = [column for column, _, _ in samplers]
    return lines + bound_row(context, prefix, dataset, columns)


def _gap_cell(
    context: Context, address: str, rows: list[Row], teacher: list[Row]
) -> Cell:
    values = [value_of(row) for row in rows]
    values += [value_of(row, "second") for row in teacher]
    both = [*rows, *teacher] if rows and teacher else []
    decimals = context.settings["decimals"]
    return context.measured(
        address, both, decimals, statistic="difference", values=values
    )


def table_c5(context: Context) -> Table:
    """Table C5: fewer DDIM steps, teacher and student, with their gap."""
    paper = context.source("tableC5_steps.csv", "dataset", "model")
    block = context.param("experiments.tableC5")
    student = context.sampler(block["student"])
    teacher = context.sampler(TEACHER)
    samplers = [
        (f"fid_{steps}", replace(teacher, steps=steps), replace(student, steps=steps))
        for steps in block["steps"]
    ]
    lines = []
    for dataset in block["datasets"]:
        lines.append(Line(dataset, dataset_name(dataset), rule=bool(lines)))
        place = (dataset, f"{dataset}_", paper, samplers)
        lines += _gap_lines(context, "tableC5", *place)
    metric = quality_header(context, block["datasets"])[0]
    return Table(
        context.item,
        f"Sampling steps ({metric}). Trained once; the step count changes at "
        "sampling only. " + protocol(context, "tableC5", steps=block["steps"]),
        ("Steps", *(str(steps) for steps in block["steps"])),
        tuple(lines),
        notes=(GAP_NOTE, *quality_notes(context, block["datasets"])),
    )


def table_c7(context: Context) -> Table:
    """Table C7: constant w of the student, w_max of the teacher's TAG."""
    paper = context.source("tableC7_guidance.csv", "model")
    block = context.param("experiments.tableC7")
    student = context.sampler(block["student"])
    teacher = context.sampler(TEACHER)
    scales = [float(scale) for scale in block["guidance_scales"]]
    samplers = [
        (f"w{scale}", replace(teacher, scale=scale), replace(student, scale=scale))
        for scale in scales
    ]
    several = len(block["datasets"]) > 1
    lines = []
    for dataset in block["datasets"]:
        prefix = f"{dataset}_" if several else ""
        if several:
            lines.append(Line(dataset, dataset_name(dataset), rule=bool(lines)))
        place = (dataset, prefix, paper, samplers)
        lines += _gap_lines(context, "tableC7", *place)
    metric = quality_header(context, block["datasets"])[0]
    names = ", ".join(dataset_name(dataset) for dataset in block["datasets"])
    constant = context.param("experiments.sampling.student_guidance") == "constant"
    of_student = "constant w of the student, " if constant else "student and "
    return Table(
        context.item,
        f"Guidance scale ({metric}, {names}): {of_student}TAG's "
        "w_{max} of the teacher. " + protocol(context, "tableC7", scales=scales),
        ("w", *(f"{scale:.1f}" for scale in scales)),
        tuple(lines),
        notes=(GAP_NOTE, *quality_notes(context, block["datasets"])),
    )


def table_c6(context: Context) -> Table:
    """Table C6: students of several widths; calibration on the first dataset."""
    paper = context.source("tableC6_width.csv", "config", "width")
    block = context.param("experiments.tableC6")
    datasets = block["datasets"]
    full = context.param("train_teacher.width")
    models = [("teacher", TEACHER, full)]
    models += [(name, name, w) for w in block["widths"] for name in block["students"]]
    lines = []
    for row, model, width in models:
        key, at = f"{row}_{width}", None if model == TEACHER else width
        size = _size_entries(context, key, model, at, paper)
        quality = quality_entries(context, "tableC6", key, model, at, paper)
        place = ("tableC6", datasets[0], model, width)
        if model == TEACHER:
            calibration = [
                teacher_definition(context, key, column, datasets[0], paper)
                for column in ("rho", "cos")
            ]
        else:
            calibration = [
                measured_calibration(context, key, column, place, paper)
                for column in ("rho", "cos")
            ]
        entries = (*size, *quality, *(Entry((cell,)) for cell in calibration))
        label = f"{model_name(row)}, {width} channels"
        rule = model != TEACHER and model == block["students"][0]
        lines.append(Line(key, label, entries, rule))
    size = ("params_m", "compression")
    lines += bound_lines(context, datasets, size, ("rho", "cos"))
    header = ("Model", "Params (M)", "Compression")
    return Table(
        context.item,
        "Student width. " + protocol(context, "tableC6"),
        (*header, *quality_header(context, datasets), "ρ", "cos(Δ)"),
        tuple(lines),
        (*group_heads(3, datasets), (f"Calibration ({dataset_name(datasets[0])})", 2)),
        tuple(quality_notes(context, datasets)),
    )


def _size_entries(
    context: Context, row: str, model: str, width: int | None, paper: PaperTable
) -> list[Entry]:
    """Parameters, and the teacher's over them."""
    dataset = context.param("experiments.tableC6.datasets")[0]
    own = context.profile("parameters", dataset, model, width)
    teacher = context.profile("parameters", dataset, TEACHER)
    values = [value_of(found) for found in teacher]
    values += [value_of(found, "second") for found in own]
    params = params_cell(context, row, own, paper.value(row, "params_m"))
    ratio = context.measured(
        f"{row}/compression",
        [*teacher, *own] if teacher and own else [],
        1,
        statistic="ratio",
        values=values,
        paper=paper.value(row, "compression"),
    )
    return [Entry((params,)), Entry((ratio,))]


def anchor(context: Context) -> Table:
    """Appendix A's text on lambda_an as a table; the paper prints no numbers."""
    block = context.param("experiments.anchor")
    datasets, width = block["datasets"], block["width"]
    blocks = context.param("students")
    paper = PaperTable({})
    lines = []
    for model in block["students"]:
        address = f"anchor/{model}/lambda_an"
        weight = word(address, f"{blocks[model]['lambda_an']:g}")
        entries = quality_entries(context, "anchor", model, model, width, paper)
        calibration = []
        for dataset in datasets:
            place = ("anchor", dataset, model, width)
            calibration += [
                measured_calibration(context, model, column, place, paper)
                for column in ("rho", "cos")
            ]
        boxes = (Entry((weight,)), *entries, *(Entry((cell,)) for cell in calibration))
        lines.append(Line(model, model_name(model), boxes))
    columns = [f"{dataset}_{name}" for dataset in datasets for name in ("rho", "cos")]
    lines += bound_lines(context, datasets, ("lambda_an",), columns)
    heads = [head for _ in datasets for head in ("ρ", "cos(Δ)")]
    names = ", ".join(dataset_name(dataset) for dataset in datasets)
    return Table(
        context.item,
        f"Weight of the anchor term, {names}. " + protocol(context, "anchor"),
        ("Student", "λ_{an}", *quality_header(context, datasets), *heads),
        tuple(lines),
        notes=tuple(quality_notes(context, datasets)),
    )
