"""How an item of the paper says what it is made of; read by the plan.

How the plan reads a Need: take `experiments.<experiment>` of params.yaml; its datasets
and seeds (all of them, or only the first), its students (`student`/`students`, or the
ones named here that it has) at its width or widths; teachers are `teacher_<block>`.
Samplers:
  default  students: sampling.student_guidance (constant | tag) at
           sampling.guidance_scale, or at w = 1 where a student has learned the guided
           noise; teachers: TAG with tag.w_max; sampling.steps steps
  table2   teacher_min_snr: constant at table2.guidance_scale, constant at
           sampling.guidance_scale, TAG; teacher_tirt: constant at table2, TAG
  steps    as default, once per entry of the experiment's `steps`
  scales   as default, once per entry of `guidance_scales` (constant w of students,
           w_max of the teacher's TAG)
  stepped  students as default, once per entry of the experiment's `steps`; those
           distilled to k steps (dash_k25) in k
each for every entry of sampling.sampling_seeds, or the first where seeds is "first".

Every collecting instance gets item["members"]: {"<stage>/<instance id>": identity} with
typed keys, those that apply: stage, dataset, model (`teacher_tirt`, `dash`), width,
seed, sampler, guidance ("constant" | "tag"), scale, steps, sampling_seed.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

ALL, FIRST, SECOND = "all", "first", "second"
STUDENTS = "students"  # every student of the experiment
TEACHERS = "teachers"  # every teacher of the experiment
BESIDE = "beside"  # students that a figure shows beside the experiment's own
DISTILLED = "distilled"  # its student, distilled to each of its numbers of steps
TEACHER, MIN_SNR_TEACHER = "teacher_tirt", "teacher_min_snr"

METRICS = ("compute_metrics", "metrics.json")
CALIBRATION = ("measure_calibration", "calibration.json")
STEP_GAP = ("distill_steps", "gap.json")
PROFILE = ("profile_model", "profile.json")
EXPORT = ("export_tirt", "tirt.safetensors")
HISTORY = ("train_student", "history.csv")
CURRICULUM = ("train_teacher", "curriculum.npz")
SAMPLES = ("generate_samples", "samples.npz")
PAIRS = ("rank_pairs", "pairs.json")
BOUNDS = ("extract_reference", "bounds.json")
TEACHER_COST = ("train_teacher", "cost.json")
STUDENT_COST = ("train_student", "cost.json")


def stepped(model: str) -> tuple[str, int | None]:
    """(student, the steps it was distilled to): dash_k25 is ("dash", 25).

    Other students, and teachers, are ("dash", None).
    """
    found = re.fullmatch(r"(\w+)_k(\d+)", model)
    return (found[1], int(found[2])) if found else (model, None)


@dataclass(frozen=True)
class Need:
    """Instances of one stage that an item collects.

    Attributes:
        source: (stage, name of the one output file that is read).
        experiment: block of `experiments` that gives datasets, seeds, widths, students.
        models: (STUDENTS,), (TEACHERS,), (BESIDE,), (DISTILLED,) or names: student
            blocks and `teacher_<block>`; () where the stage has no model (rank_pairs,
            extract_reference).
        datasets: ALL, FIRST or SECOND of the experiment's datasets.
        seeds: ALL or FIRST of the experiment's training seeds; "" without a seed.
        samplers: "default", "table2", "steps", "scales"; "" without a sampler.
        optional_models: names that the experiment may lack are left out silently.
    """

    source: tuple[str, str]
    experiment: str
    models: tuple[str, ...] = (STUDENTS,)
    datasets: str = ALL
    seeds: str = ALL
    samplers: str = ""
    optional_models: bool = False

    @property
    def stage(self) -> str:
        """The stage that makes the file."""
        return self.source[0]

    @property
    def file(self) -> str:
        """Name of the output file that is read."""
        return self.source[1]


def metrics(
    experiment: str,
    models: tuple[str, ...] = (STUDENTS,),
    samplers: str = "default",
    datasets: str = ALL,
) -> Need:
    """Need of metrics.json, over all seeds."""
    return Need(METRICS, experiment, tuple(models), datasets, samplers=samplers)


def bounds(experiment: str) -> Need:
    """Need of bounds.json, one a dataset."""
    return Need(BOUNDS, experiment, (), seeds="")


def profile(experiment: str, models: tuple[str, ...], datasets: str = FIRST) -> Need:
    """Need of profile.json, one a network."""
    return Need(PROFILE, experiment, models, datasets=datasets, seeds="")


def experiments(*names: str) -> tuple[str, ...]:
    """Params keys of experiments, and of the sampling they share."""
    return tuple(f"experiments.{name}" for name in (*names, "sampling"))


def samples(
    models: tuple[str, ...],
    datasets: str,
    samplers: str = "default",
    experiment: str = "table3",
) -> Need:
    """Need of samples.npz, first seed."""
    return Need(SAMPLES, experiment, tuple(models), datasets, FIRST, samplers)


EXPORT_NEED = Need(EXPORT, "table3", (TEACHER,), seeds=FIRST)
CURRICULUM_NEED = Need(CURRICULUM, "table3", (TEACHER,), seeds=FIRST)
HISTORY_NEED = Need(HISTORY, "table4", ("dash", "no_un"), FIRST, optional_models=True)
TIRT_PARAMS = ("diffusion", "teachers.tirt", "teachers.min_snr", "experiments.table3")
