"""Table A1: hyperparameters of this run beside the paper's."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import median
from typing import Any

from dash_repro.paper.aggregate import Cell
from dash_repro.paper.context import Context, dash, word
from dash_repro.paper.markup import literal
from dash_repro.paper.needs import (
    STUDENT_COST,
    TEACHER,
    TEACHER_COST,
    Need,
    profile,
)
from dash_repro.paper.registry import Section, table
from dash_repro.paper.scale import mark
from dash_repro.paper.table import Entry, Line, Table

COSTS = ("training_time", "hardware")
COST_NOTE = "Hours are wall time, shared equally by students trained together."


def _number(value: float) -> str:
    return f"{value:g}"


def _thousands(value: int) -> str:
    return f"{value // 1000}K" if value % 1000 == 0 else f"{value}"


def _joined(values: Sequence[Any]) -> str:
    return ", ".join(str(value) for value in values)


def _dropout(share: float) -> str:
    return f"{100 * share:g}%" if share else "none (dual pass)"


Pair = tuple[str, str]


def _training_rows(context: Context) -> dict[str, Pair]:
    """Rows of Table A1 that teacher and student both have, from params."""
    teacher, student = context.param("train_teacher"), context.param("train_student")
    network, table3 = context.param("network"), context.param("experiments.table3")
    multipliers = "(" + ",".join(map(str, network["channel_mult"])) + ")"
    resolution = network["attention_resolution"]
    seeds = _joined(table3["seeds"])
    dropped = context.param("students")["dash"]["label_dropout"]
    return {
        "base_channels": (
            f"{teacher['width']} / {multipliers}",
            f"{table3['width']} / {multipliers}",
        ),
        "blocks": (str(teacher["blocks"]), str(student["blocks"])),
        "attention": (f"{resolution}×{resolution}",) * 2,
        "learning_rate": (
            _number(teacher["learning_rate"]),
            _number(student["learning_rate"]),
        ),
        "iterations": (
            _thousands(teacher["iterations"]),
            _thousands(student["iterations"]),
        ),
        "batch_ema": (
            f"{teacher['batch_size']} / {teacher['ema_decay']:.4f}",
            f"{student['batch_size']} / {student['ema_decay']:.4f}",
        ),
        "dropout": (f"{100 * teacher['label_dropout']:g}%", _dropout(dropped)),
        "seeds": (seeds, seeds),
    }


def _loss_rows(context: Context) -> dict[str, Pair]:
    """Rows of Table A1 on losses, TIRT and TAG, from params."""
    blocks, tirt = context.param("students"), context.param("teachers.tirt")
    dash_block, tag = blocks["dash"], context.param("tag")
    transfer = {"transfer": "copied from teacher", "learned": "learned"}
    weighting = transfer.get(dash_block["weighting"], dash_block["weighting"])
    names = context.param("experiments.anchor.students")
    tried = sorted({blocks[name]["lambda_an"] for name in names})
    return {
        "lambda_branches": (
            "",
            f"{dash_block['lambda_im']:.1f} / {dash_block['lambda_un']:.1f}",
        ),
        "lambda_an": ("", _number(dash_block["lambda_an"])),
        "lambda_an_tried": ("", _joined(tried)),
        "gamma": (
            f"{tirt['gamma']:.1f}",
            "frozen from teacher" if weighting.startswith("copied") else weighting,
        ),
        "lambda_init": (tirt["weighting"], weighting),
        "tag": (f"{tag['w_min']:.1f} / {tag['w_max']:.1f} / {tag['beta']:.1f}", ""),
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


def _a1_cells(context: Context, row: str, ours: Mapping[str, Pair], line) -> list[Cell]:
    """This run's teacher and student boxes of one row of Table A1."""
    cells = []
    table3 = context.param("experiments.table3")
    for index, column in enumerate(("teacher", "student")):
        paper, address = line[column], f"tableA1/{row}/{column}"
        if row == "parameters":
            model, width = ((TEACHER, None), ("dash", table3["width"]))[index]
            found = context.profile("parameters", table3["datasets"][0], model, width)
            cells.append(context.millions(f"{row}/{column}", found, paper=paper))
        elif row in COSTS:
            model = (TEACHER, "dash")[index]
            cells.append(word(address, _cost(context, row, model), "record", paper))
        elif row in ours and ours[row][index]:
            cells.append(word(address, ours[row][index], paper=paper))
        else:
            cells.append(dash(address, "none", paper))
    return cells


@table(
    "tableA1",
    about_paper=True,
    title="Hyperparameters",
    section=Section.APPENDIX_A,
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
def table_a1(context: Context) -> Table:
    """Table A1: hyperparameters of this run beside the paper's."""
    paper = context.source("tableA1_hyperparameters.csv", "key")
    ours = {**_training_rows(context), **_loss_rows(context)}
    lines: list[Line] = []
    section = ""
    for row, line in paper.by_id.items():
        if line["section"] != section:
            section = line["section"]
            lines.append(Line(f"section_{len(lines)}", section, rule=bool(lines)))
        entries = []
        cells = _a1_cells(context, row, ours, line)
        for column, cell in zip(("teacher", "student"), cells, strict=True):
            address = f"tableA1/{row}/paper_{column}"
            entries += [word(address, line[column], "literature", line[column]), cell]
        label = "Parameters (M)" if row == "parameters" else line["label"]
        lines.append(Line(row, label, tuple(Entry((cell,)) for cell in entries)))
    return Table(
        context.item,
        f"Hyperparameters of the paper and of this run. {mark(context.scale).caption}",
        ("", "paper", "this run", "paper", "this run"),
        tuple(lines),
        (("", 1), ("Teacher", 2), ("Student", 2)),
        (COST_NOTE,),
    )
