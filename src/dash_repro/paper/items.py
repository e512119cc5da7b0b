"""Every table and figure of the paper: what it collects, which params, which files.

The plan expands these into instances; the collecting stages and the builders read the
same entries (dash_repro.paper.needs says how). Imports nothing heavy: the Snakefile
reads this while it is parsed.
"""

from __future__ import annotations

from dash_repro.paper.needs import (
    ALL,
    CALIBRATION,
    CURRICULUM,
    EXPORT,
    FIRST,
    HISTORY,
    METRICS,
    MIN_SNR_TEACHER,
    PAIRS,
    PROFILE,
    SAMPLES,
    SECOND,
    STUDENTS,
    TEACHER,
    ItemSpec,
    Need,
)

__all__ = ["ALL", "FIRST", "ITEMS", "SECOND", "STUDENTS", "ItemSpec", "Need"]


def _metrics(experiment: str, models=(STUDENTS,), samplers="default", **more) -> Need:
    return Need(METRICS, experiment, tuple(models), samplers=samplers, **more)


def _profile(experiment: str, models: tuple[str, ...], datasets: str = FIRST) -> Need:
    return Need(PROFILE, experiment, models, datasets=datasets, seeds="")


def _experiments(*names: str) -> tuple[str, ...]:
    return tuple(f"experiments.{name}" for name in (*names, "sampling"))


def _images(title: str, *needs: Need, params: tuple[str, ...] = ()) -> ItemSpec:
    return ItemSpec("figure", title, needs, params, images=True)


def _samples(models, datasets, samplers="default", experiment="table3") -> Need:
    return Need(SAMPLES, experiment, tuple(models), datasets, FIRST, samplers)


CSV = "paper/tables/"
_TEACHER = (TEACHER,)
_BOTH = (TEACHER, "dash")
_CURVES = ("dash", "composite", "gap_match")
_TABLE3 = (_metrics("table3"), _metrics("table3", _TEACHER))
_TABLE4 = (_metrics("table4"),)
_TABLE6 = (_metrics("tableC6"), _metrics("tableC6", _TEACHER))
_CALIBRATION3 = Need(CALIBRATION, "table3")
_CALIBRATION4 = Need(CALIBRATION, "table4")
_EXPORT = Need(EXPORT, "table3", _TEACHER, seeds=FIRST)
_CURRICULUM = Need(CURRICULUM, "table3", _TEACHER, seeds=FIRST)
_HISTORY5A = Need(HISTORY, "table4", ("dash", "no_un"), FIRST, optional_models=True)
_TIRT_PARAMS = ("diffusion", "teachers.tirt", "teachers.min_snr", "experiments.table3")

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
            _metrics("table2", (TEACHER, MIN_SNR_TEACHER), "table2"),
            _profile("table2", (TEACHER, MIN_SNR_TEACHER)),
        ),
        (*_experiments("table2"), "tag"),
        (CSV + "table2_teacher_ablation.csv",),
    ),
    "table3": ItemSpec(
        "table",
        "Main distillation results",
        (*_TABLE3, _CALIBRATION3, _profile("table3", (STUDENTS, TEACHER))),
        (*_experiments("table3"), "tag", "measure_calibration.cos_undefined_below"),
        (CSV + "table3_main.csv",),
    ),
    "table4": ItemSpec(
        "table",
        "Component ablation",
        (*_TABLE4, _CALIBRATION4),
        (
            *_experiments("table4"),
            "students",
            "measure_calibration.cos_undefined_below",
        ),
        (CSV + "table4_ablation.csv",),
    ),
    "tableA1": ItemSpec(
        "table",
        "Hyperparameters",
        (_profile("table3", _BOTH),),
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
            "extractor.name",
            *_experiments("table3"),
        ),
        (CSV + "tableA2_protocol.csv",),
    ),
    "tableB3": ItemSpec(
        "table",
        "Main results with standard deviations",
        _TABLE3,
        (*_experiments("table3"), "tag"),
        (CSV + "table3_main.csv",),
    ),
    "tableB4": ItemSpec(
        "table",
        "Ablation with standard deviations",
        _TABLE4,
        _experiments("table4"),
        (CSV + "table4_ablation.csv",),
    ),
    "tableC5": ItemSpec(
        "table",
        "Sampling steps",
        (
            _metrics("tableC5", samplers="steps"),
            _metrics("tableC5", _TEACHER, "steps"),
        ),
        (*_experiments("tableC5"), "tag"),
        (CSV + "tableC5_steps.csv",),
    ),
    "tableC6": ItemSpec(
        "table",
        "Student width",
        (
            *_TABLE6,
            Need(CALIBRATION, "tableC6", datasets=FIRST),
            _profile("tableC6", (STUDENTS, TEACHER)),
        ),
        (
            *_experiments("tableC6"),
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
            _metrics("tableC7", samplers="scales"),
            _metrics("tableC7", _TEACHER, "scales"),
        ),
        (*_experiments("tableC7"), "tag"),
        (CSV + "tableC7_guidance.csv",),
    ),
    "anchor": ItemSpec(
        "table",
        "Anchor weight (Appendix A)",
        (_metrics("anchor"), Need(CALIBRATION, "anchor")),
        (
            *_experiments("anchor"),
            "students",
            "measure_calibration.cos_undefined_below",
        ),
    ),
    "tableS1": ItemSpec(
        "table",
        "Efficiency",
        (_profile("table3", _BOTH),),
        ("profile_model", "experiments.table3"),
        (CSV + "released_code_efficiency.csv",),
    ),
    "figure1": ItemSpec(
        "figure",
        "Training pipeline",
        (_profile("table3", _BOTH),),
        ("students.dash", "experiments.table3", "experiments.sampling"),
    ),
    "figure2": ItemSpec(
        "figure",
        "Architectures",
        (_profile("table3", _BOTH),),
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
        params=("tag", "diffusion.timesteps", *_experiments("table2")),
    ),
    "figure4b": ItemSpec(
        "figure",
        "TIRT weights",
        (Need(EXPORT, "table3", _TEACHER, FIRST, FIRST),),
        _TIRT_PARAMS,
    ),
    "figure4c": ItemSpec(
        "figure",
        "Gap ratio by timestep",
        (Need(CALIBRATION, "table3", _CURVES, FIRST, optional_models=True),),
        ("diffusion.timesteps", "experiments.table3"),
    ),
    "figure5a": ItemSpec(
        "figure", "Gap ratio over training", (_HISTORY5A,), ("experiments.table4",)
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
            _metrics("table3", datasets=FIRST),
            _metrics("table3", _TEACHER, datasets=FIRST),
            _metrics("tableC6", datasets=FIRST),
            _profile("table3", (STUDENTS, TEACHER)),
            _profile("tableC6", (STUDENTS,)),
        ),
        (*_experiments("table3", "tableC6"), "tag"),
    ),
    "figure6": _images("Teacher and student samples", _samples(_BOTH, FIRST)),
    "figure7": _images(
        "Student samples by step count",
        _samples((STUDENTS,), FIRST, "steps", "tableC5"),
    ),
    "figureD1": _images("Teacher by class", _samples(_TEACHER, FIRST)),
    "figureD2": _images("Student by class", _samples(("dash",), FIRST)),
    "figureD3": _images("Teacher by class", _samples(_TEACHER, SECOND)),
    "figureD4": _images("Student by class", _samples(("dash",), SECOND)),
    "figureD5": _images(
        "Student samples by step count",
        _samples((STUDENTS,), SECOND, "steps", "tableC5"),
    ),
    "figureD6": _images(
        "Worst matched pairs",
        _samples(_BOTH, FIRST),
        Need(PAIRS, "table3", (), FIRST, ""),
    ),
    "figureD7": _images(
        "Worst matched pairs",
        _samples(_BOTH, SECOND),
        Need(PAIRS, "table3", (), SECOND, ""),
    ),
    "figureS1": ItemSpec(
        "figure", "Where TIRT puts its weight", (_CURRICULUM,), _TIRT_PARAMS
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
    needs += [_EXPORT, _CURRICULUM, _HISTORY5A]
    params = [key for item in _CLAIM_TABLES for key in ITEMS[item].params]
    params += [*_TIRT_PARAMS, "train_student.iterations"]
    sources = [source for item in _CLAIM_TABLES for source in ITEMS[item].sources]
    return ItemSpec(
        "table",
        "Claims of the text",
        tuple(dict.fromkeys(needs)),
        tuple(dict.fromkeys(params)),
        ("paper/claims.yaml", *dict.fromkeys(sources)),
    )


ITEMS["claims"] = _claims()
