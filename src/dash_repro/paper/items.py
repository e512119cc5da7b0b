"""Every table and figure of the paper: what it collects, which params, which files.

The plan expands these into instances; the collecting stages and the builders read the
same entries (dash_repro.paper.needs says how). Imports nothing heavy: the Snakefile
reads this while it is parsed.
"""

from __future__ import annotations

from dataclasses import replace

from dash_repro.paper.figure_items import (
    CURRICULUM_NEED,
    EXPORT_NEED,
    FIGURES,
    HISTORY_NEED,
    TIRT_PARAMS,
)
from dash_repro.paper.needs import (
    ALL,
    CALIBRATION,
    FIRST,
    MIN_SNR_TEACHER,
    SECOND,
    STUDENT_COST,
    STUDENTS,
    TEACHER,
    TEACHER_COST,
    ItemSpec,
    Need,
    bounds,
    experiments,
    metrics,
    profile,
)

__all__ = ["ALL", "FIRST", "ITEMS", "SECOND", "STUDENTS", "ItemSpec", "Need"]


CSV = "paper/tables/"
_TEACHER = (TEACHER,)
_BOTH = (TEACHER, "dash")
_TABLE3 = (metrics("table3"), metrics("table3", _TEACHER), bounds("table3"))
_TABLE4 = (metrics("table4"), bounds("table4"))
_TABLE6 = (metrics("tableC6"), metrics("tableC6", _TEACHER), bounds("tableC6"))
_CALIBRATION3 = Need(CALIBRATION, "table3")
_CALIBRATION4 = Need(CALIBRATION, "table4")
ITEMS: dict[str, ItemSpec] = {
    "table1": ItemSpec(
        "table",
        "Comparison of distillation approaches",
        sources=(CSV + "table1_qualitative.csv",),
    ),
    "table2": ItemSpec(
        "table",
        "Teacher components",
        (
            metrics("table2", (TEACHER, MIN_SNR_TEACHER), "table2"),
            bounds("table2"),
            profile("table2", (TEACHER, MIN_SNR_TEACHER)),
        ),
        (*experiments("table2"), "tag"),
        (CSV + "table2_teacher_ablation.csv",),
    ),
    "table3": ItemSpec(
        "table",
        "Main distillation results",
        (*_TABLE3, _CALIBRATION3, profile("table3", (STUDENTS, TEACHER))),
        (*experiments("table3"), "tag", "measure_calibration.cos_undefined_below"),
        (CSV + "table3_main.csv",),
    ),
    "table4": ItemSpec(
        "table",
        "Component ablation",
        (*_TABLE4, _CALIBRATION4),
        (
            *experiments("table4"),
            "tag",
            "students",
            "measure_calibration.cos_undefined_below",
        ),
        (CSV + "table4_ablation.csv",),
    ),
    "tableA1": ItemSpec(
        "table",
        "Hyperparameters",
        (
            profile("table3", _BOTH),
            Need(TEACHER_COST, "table3", (TEACHER,)),
            Need(STUDENT_COST, "table3", ("dash",)),
        ),
        (
            "network",
            "train_teacher",
            "train_student",
            "teachers.tirt",
            "students",
            "tag",
            "experiments.table3",
            "experiments.anchor",
        ),
        (CSV + "tableA1_hyperparameters.csv",),
    ),
    "tableA2": ItemSpec(
        "table",
        "Evaluation protocol",
        (),
        (
            "generate_samples",
            "measure_calibration.pairs",
            *experiments("table3"),
        ),
        (CSV + "tableA2_protocol.csv",),
    ),
    "tableB3": ItemSpec(
        "table",
        "Main results with standard deviations",
        _TABLE3,
        (*experiments("table3"), "tag"),
        (CSV + "table3_main.csv",),
    ),
    "tableB4": ItemSpec(
        "table",
        "Ablation with standard deviations",
        _TABLE4,
        (*experiments("table4"), "tag"),
        (CSV + "table4_ablation.csv",),
    ),
    "tableC5": ItemSpec(
        "table",
        "Sampling steps",
        (
            metrics("tableC5", samplers="steps"),
            metrics("tableC5", _TEACHER, "steps"),
            bounds("tableC5"),
        ),
        (*experiments("tableC5"), "tag"),
        (CSV + "tableC5_steps.csv",),
    ),
    "tableC6": ItemSpec(
        "table",
        "Student width",
        (
            *_TABLE6,
            Need(CALIBRATION, "tableC6", datasets=FIRST),
            profile("tableC6", (STUDENTS, TEACHER)),
        ),
        (
            *experiments("tableC6"),
            "tag",
            "train_teacher.width",
            "measure_calibration.cos_undefined_below",
        ),
        (CSV + "tableC6_width.csv",),
    ),
    "tableC7": ItemSpec(
        "table",
        "Guidance scale",
        (
            metrics("tableC7", samplers="scales"),
            metrics("tableC7", _TEACHER, "scales"),
            bounds("tableC7"),
        ),
        (*experiments("tableC7"), "tag"),
        (CSV + "tableC7_guidance.csv",),
    ),
    "anchor": ItemSpec(
        "table",
        "Anchor weight (Appendix A)",
        (metrics("anchor"), bounds("anchor"), Need(CALIBRATION, "anchor")),
        (
            *experiments("anchor"),
            "tag",
            "students",
            "measure_calibration.cos_undefined_below",
        ),
    ),
    "tableS1": ItemSpec(
        "table",
        "Efficiency",
        (profile("table3", _BOTH),),
        ("profile_model", "experiments.table3"),
        (CSV + "released_code_efficiency.csv",),
    ),
}

_CLAIM_TABLES = (
    "table2",
    "table3",
    "table4",
    "tableC5",
    "tableC6",
    "tableC7",
    "anchor",
)


def _claims() -> ItemSpec:
    """The claims read the union of what their tables read, and three curves more."""
    needs = [need for item in _CLAIM_TABLES for need in ITEMS[item].needs]
    curves = (EXPORT_NEED, CURRICULUM_NEED, HISTORY_NEED)
    needs += [replace(need, seeds=ALL) for need in curves]
    params = [key for item in _CLAIM_TABLES for key in ITEMS[item].params]
    params += [*TIRT_PARAMS, "train_student.iterations", "diffusion.timesteps"]
    sources = [source for item in _CLAIM_TABLES for source in ITEMS[item].sources]
    return ItemSpec(
        "table",
        "Claims of the text",
        tuple(dict.fromkeys(needs)),
        tuple(dict.fromkeys(params)),
        ("paper/claims.yaml", *dict.fromkeys(sources)),
    )


ITEMS["claims"] = _claims()
ITEMS |= FIGURES
