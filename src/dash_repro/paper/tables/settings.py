"""Tables A1 and A2: hyperparameters and protocol of this run beside the paper's."""

from __future__ import annotations

from collections.abc import Iterable
from statistics import median
from typing import Any

from dash_repro.paper.aggregate import Cell
from dash_repro.paper.context import Context, PaperTable
from dash_repro.paper.markup import literal
from dash_repro.paper.needs import (
    STUDENT_COST,
    TEACHER,
    TEACHER_COST,
    Need,
    experiments,
    profile,
)
from dash_repro.paper.registry import table
from dash_repro.paper.scale import mark
from dash_repro.paper.table import Line, Table

COSTS = ("training_time", "hardware")
COST_NOTE = "Hours are wall time, shared equally by students trained together."


def _thousands(value: int) -> str:
    return f"{value // 1000}K" if value % 1000 == 0 else f"{value}"


def _joined(values: Iterable[Any]) -> str:
    return ", ".join(map(str, values))


def _rows_of_both(
    context: Context, section: str, width: int, dropout: str
) -> dict[str, str]:
    """Rows of Table A1 that teacher and student both have, from params."""
    block, network = context.param(section), context.param("network")
    multipliers = ",".join(map(str, network["channel_mult"]))
    resolution = network["attention_resolution"]
    return {
        "base_channels": f"{width} / ({multipliers})",
        "blocks": str(block["blocks"]),
        "attention": f"{resolution}×{resolution}",
        "learning_rate": f"{block['learning_rate']:g}",
        "iterations": _thousands(block["iterations"]),
        "batch_ema": f"{block['batch_size']} / {block['ema_decay']:.4f}",
        "dropout": dropout,
        "seeds": _joined(context.param("experiments.table3.seeds")),
    }


def _teacher_rows(context: Context) -> dict[str, str]:
    teacher, tirt = context.param("train_teacher"), context.param("teachers.tirt")
    tag, dropout = context.param("tag"), f"{100 * teacher['label_dropout']:g}%"
    return {
        **_rows_of_both(context, "train_teacher", teacher["width"], dropout),
        "gamma": f"{tirt['gamma']:.1f}",
        "lambda_init": tirt["weighting"],
        "tag": f"{tag['w_min']:.1f} / {tag['w_max']:.1f} / {tag['beta']:.1f}",
    }


def _student_rows(context: Context) -> dict[str, str]:
    students = context.param("students")
    dash_block, width = students["dash"], context.param("experiments.table3.width")
    dropped, kind = dash_block["label_dropout"], dash_block["weighting"]
    dropout = f"{100 * dropped:g}%" if dropped else "none (dual pass)"
    weighting = {"transfer": "copied from teacher"}.get(kind, kind)
    names = context.param("experiments.anchor.students")
    return {
        **_rows_of_both(context, "train_student", width, dropout),
        "lambda_branches": f"{dash_block['lambda_im']:.1f} / "
        f"{dash_block['lambda_un']:.1f}",
        "lambda_an": f"{dash_block['lambda_an']:g}",
        "lambda_an_tried": _joined(sorted({students[n]["lambda_an"] for n in names})),
        "gamma": "frozen from teacher" if kind == "transfer" else weighting,
        "lambda_init": weighting,
    }


def _cost(context: Context, row: str, model: str) -> str:
    """Median wall time of a training by dataset, or the devices they ran on."""
    if row == "hardware":
        found = context.collected.find("cost_text", model=model, name="device")
        return _joined(sorted({literal(entry.value) for entry in found}))
    hours = []
    for dataset in context.param("experiments.table3.datasets"):
        found = context.collected.find("cost", model=model, dataset=dataset)
        seconds = median(float(entry.value) for entry in found)
        hours.append(f"{seconds / 3600:.1f}h" if seconds >= 360 else f"{seconds:.0f}s")
    return " / ".join(hours)


def _cell(context: Context, row: str, column: str, text: str, paper: str) -> Cell:
    """This run's box of one row of Table A1; `text`: of a row from params."""
    address = f"{row}/{column}"
    model = TEACHER if column == "teacher" else "dash"
    if row == "parameters":
        table3 = context.param("experiments.table3")
        width = None if column == "teacher" else table3["width"]
        found = context.profile("parameters", table3["datasets"][0], model, width)
        return context.millions(address, found, paper=paper)
    if row in COSTS:
        return context.word(address, _cost(context, row, model), "record", paper)
    if not text:
        return context.dash(address, "none", paper)
    return context.word(address, text, paper=paper)


@table(
    "tableA1",
    about_paper=True,
    title="Hyperparameters",
    needs=(
        profile("table3", (TEACHER, "dash")),
        Need(TEACHER_COST, "table3", (TEACHER,)),
        Need(STUDENT_COST, "table3", ("dash",)),
    ),
    params=(
        "network",
        "train_teacher",
        "train_student",
        "teachers.tirt",
        "students",
        "tag",
        "experiments.table3",
        "experiments.anchor",
    ),
    csv="tableA1_hyperparameters.csv",
    keys=("key",),
)
def table_a1(context: Context, paper: PaperTable) -> Table:
    """Table A1: hyperparameters of this run beside the paper's."""
    ours = {"teacher": _teacher_rows(context), "student": _student_rows(context)}
    lines: list[Line] = []
    section = ""
    for row, line in paper.by_id.items():
        if line["section"] != section:
            section = line["section"]
            lines.append(Line(f"section_{len(lines)}", section, rule=bool(lines)))
        cells = []
        for column, texts in ours.items():
            cells.append(context.quoted(f"{row}/paper_{column}", line[column]))
            cells.append(_cell(context, row, column, texts.get(row, ""), line[column]))
        label = "Parameters (M)" if row == "parameters" else line["label"]
        lines.append(Line.of_cells(row, label, cells))
    return Table(
        context.item,
        f"Hyperparameters of the paper and of this run. {mark(context.scale).caption}",
        ("", "paper", "this run", "paper", "this run"),
        tuple(lines),
        (("", 1), ("Teacher", 2), ("Student", 2)),
        (COST_NOTE,),
    )


def _protocol_rows(context: Context) -> dict[str, str]:
    sampling = context.param("experiments.sampling")
    scale = float(sampling["guidance_scale"])
    tag = sampling["student_guidance"] == "tag"
    guided = "TAG" if tag else f"w = {scale:.1f}"
    return {
        "sampler": f"DDIM, {sampling['steps']} steps, {guided}",
        "num_samples": str(context.param("generate_samples")["num_samples"]),
        "pairs": str(context.param("measure_calibration.pairs")),
        "calibration": "ρ, cos(Δ), gap MSE",
        "seeds": _joined(context.param("experiments.table3.seeds")),
    }


@table(
    "tableA2",
    about_paper=True,
    title="Evaluation protocol",
    params=("generate_samples", "measure_calibration.pairs", *experiments("table3")),
    csv="tableA2_protocol.csv",
    keys=("key",),
)
def table_a2(context: Context, paper: PaperTable) -> Table:
    """Table A2: evaluation protocol of this run beside the paper's."""
    ours = _protocol_rows(context)
    lines = []
    for row, line in paper.by_id.items():
        cells = (
            context.quoted(f"{row}/paper", line["value"]),
            context.word(f"{row}/value", ours[row], paper=line["value"]),
        )
        lines.append(Line.of_cells(row, line["label"], cells))
    return Table(
        context.item,
        "Evaluation protocol of the paper and of this run. "
        f"{mark(context.scale).caption}",
        ("Setting", "paper", "this run"),
        tuple(lines),
    )
