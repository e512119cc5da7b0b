"""Every figure of the paper: what it collects and which params it is shown with."""

from __future__ import annotations

from dash_repro.paper.needs import (
    CALIBRATION,
    CURRICULUM,
    EXPORT,
    FIRST,
    HISTORY,
    PAIRS,
    SECOND,
    STUDENTS,
    TEACHER,
    ItemSpec,
    Need,
    experiments,
    images_of,
    metrics,
    profile,
    samples,
)

_TEACHER = (TEACHER,)
_BOTH = (TEACHER, "dash")
# images of the second dataset come with the fewest trainings: those of Table C5
_STEPS = ("default", "tableC5")
_CURVES = ("dash", "composite", "gap_match")
EXPORT_NEED = Need(EXPORT, "table3", _TEACHER, seeds=FIRST)
CURRICULUM_NEED = Need(CURRICULUM, "table3", _TEACHER, seeds=FIRST)
HISTORY_NEED = Need(HISTORY, "table4", ("dash", "no_un"), FIRST, optional_models=True)
TIRT_PARAMS = ("diffusion", "teachers.tirt", "teachers.min_snr", "experiments.table3")

FIGURES: dict[str, ItemSpec] = {
    "figure1": ItemSpec(
        "figure",
        "Training pipeline",
        (profile("table3", _BOTH),),
        ("students.dash", "experiments.table3", "experiments.sampling"),
    ),
    "figure2": ItemSpec(
        "figure",
        "Architectures",
        (profile("table3", _BOTH),),
        (
            "network",
            "prepare_data",
            "train_teacher.width",
            "train_teacher.blocks",
            "train_student.blocks",
            "experiments.table3",
        ),
    ),
    "figure3": ItemSpec(
        "figure",
        "Solution geometry",
        params=("students.composite.guidance_scale",),
    ),
    "figure4a": ItemSpec(
        "figure",
        "TAG guidance schedule",
        params=("tag", "diffusion.timesteps", *experiments("table2")),
    ),
    "figure4b": ItemSpec(
        "figure",
        "TIRT weights",
        (Need(EXPORT, "table3", _TEACHER, FIRST, FIRST),),
        TIRT_PARAMS,
    ),
    "figure4c": ItemSpec(
        "figure",
        "Gap ratio by timestep",
        (Need(CALIBRATION, "table3", _CURVES, FIRST, optional_models=True),),
        ("diffusion.timesteps", "experiments.table3"),
    ),
    "figure5a": ItemSpec(
        "figure", "Gap ratio over training", (HISTORY_NEED,), ("experiments.table4",)
    ),
    "figure5b": ItemSpec(
        "figure",
        "Gap magnitude against direction",
        (
            Need(CALIBRATION, "table3", datasets=FIRST),
            Need(CALIBRATION, "table4", datasets=FIRST),
        ),
        (
            "experiments.table3",
            "experiments.table4",
            "measure_calibration.cos_undefined_below",
        ),
    ),
    "figure5c": ItemSpec(
        "figure",
        "Quality against parameters",
        (
            metrics("table3", datasets=FIRST),
            metrics("table3", _TEACHER, datasets=FIRST),
            metrics("tableC6", datasets=FIRST),
            profile("table3", (STUDENTS, TEACHER)),
            profile("tableC6", (STUDENTS,)),
        ),
        (*experiments("table3", "tableC6"), "tag"),
    ),
    "figure6": images_of("Teacher and student samples", samples(_BOTH, FIRST)),
    "figure7": images_of(
        "Student samples by step count",
        samples((STUDENTS,), FIRST, "steps", "tableC5"),
    ),
    "figureD1": images_of("Teacher by class", samples(_TEACHER, FIRST)),
    "figureD2": images_of("Student by class", samples(("dash",), FIRST)),
    "figureD3": images_of("Teacher by class", samples(_TEACHER, SECOND, *_STEPS)),
    "figureD4": images_of("Student by class", samples(("dash",), SECOND, *_STEPS)),
    "figureD5": images_of(
        "Student samples by step count",
        samples((STUDENTS,), SECOND, "steps", "tableC5"),
    ),
    "figureD6": images_of(
        "Worst matched pairs",
        samples(_BOTH, FIRST),
        Need(PAIRS, "table3", (), FIRST, ""),
    ),
    "figureD7": images_of(
        "Worst matched pairs",
        samples(_BOTH, SECOND, *_STEPS),
        Need(PAIRS, "tableC5", (), SECOND, ""),
    ),
    "figureS1": ItemSpec(
        "figure", "Where TIRT puts its weight", (CURRICULUM_NEED,), TIRT_PARAMS
    ),
    "figureS2": ItemSpec(
        "figure",
        "Branch errors over training",
        (
            Need(HISTORY, "table3", datasets=FIRST, seeds=FIRST),
            Need(HISTORY, "table4", datasets=FIRST, seeds=FIRST),
        ),
        ("experiments.table3", "experiments.table4"),
    ),
}
