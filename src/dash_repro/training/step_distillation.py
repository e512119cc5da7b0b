"""Fewer sampling steps for a trained student: progressive distillation (Appendix F).

After Salimans & Ho (2022), with both branches kept: a student of K steps starts from
one of m K steps, and learns what m guided DDIM steps of that one come to. Each branch
has a target of its own, so that the guidance gap, and w, stay free.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor

from dash_repro.arrays import load_npz, write_json
from dash_repro.diffusion.ddim import ddim_timesteps
from dash_repro.diffusion.guidance import gap_statistics, guided_eps, summarize_gaps
from dash_repro.diffusion.schedule import Schedule
from dash_repro.launch import launch_mode
from dash_repro.models.unet import UNet
from dash_repro.objectives.objective import Batch, Targets, student_objective
from dash_repro.training.batches import BatchSource, batch_source
from dash_repro.training.frozen import FrozenTeacher, both_branches
from dash_repro.training.learner import Learner
from dash_repro.training.loop import Task, train
from dash_repro.training.observers import GapMonitor
from dash_repro.training.settings import Cadence, TrainSettings
from dash_repro.training.students import load_network, weights_of, write_student
from runledger.job import Job

# Eqs. 5 and 6; the noise of Eq. 7 is no target of a step over many noise levels
TERMS = {"objective": "branches", "lambda_im": 1.0, "lambda_un": 1.0}
TERMS |= {"lambda_an": 0.0, "label_dropout": 0.0}
ARRAYS = ("train_images", "train_labels", "test_images", "test_labels", "class_names")
_CHUNK = 64  # pairs measured together


class StepTeacher:
    """Several guided DDIM steps of a frozen network, as the targets of one step.

    With s = sqrt(1 / alpha_bar - 1) and z = x sqrt(1 + s^2), a DDIM step is z' = z +
    (s' - s) eps~ (Song et al. 2021, Eq. 13). So one step from s to the last s' needs
    the mean of the eps~ on the way, each weighted by its share of s - s'; and so do
    both branches, whose guided combination then is that mean.

    Args:
        network: the frozen network; called at every inner step.
        schedule: of the diffusion.
        inner_steps: of the sampler that it is used with.
        steps: of the one that is learned; a divisor of `inner_steps`.
        scale: w of the path; x0 is not clamped on it.
        device: of the batches.
    """

    def __init__(
        self,
        network: FrozenTeacher,
        schedule: Schedule,
        inner_steps: int,
        steps: int,
        scale: float,
        device: torch.device,
    ) -> None:
        self.network, self.scale = network, scale
        self.count = inner_steps // steps
        self.stride = schedule.timesteps // len(
            ddim_timesteps(schedule.timesteps, inner_steps)
        )
        self.sigma = (1.0 / schedule.alpha_bar - 1.0).sqrt().float().to(device)

    @torch.no_grad()
    def __call__(self, batch: Batch, features: bool = False) -> Targets:
        """Targets of both branches at timesteps of the coarser sampler.

        The last step, at t = 0, goes to the clean image, as the sampler's does.
        """
        t, x = batch.t, batch.x_t
        whole = self._level(t) - self._level(t - self.count * self.stride)
        cond, uncond = torch.zeros_like(x), torch.zeros_like(x)
        for _ in range(self.count):
            now = self.network(replace(batch, x_t=x, t=t.clamp(min=0)))
            level, t = self._level(t), t - self.stride
            lower = self._level(t)
            share = (level - lower) / whole
            cond, uncond = cond + share * now.eps_cond, uncond + share * now.eps_uncond
            guided = guided_eps(now.eps_cond, now.eps_uncond, self.scale)
            z = x * (1.0 + level.square()).sqrt() + (lower - level) * guided
            x = z / (1.0 + lower.square()).sqrt()
        return Targets(cond, uncond)

    def _level(self, t: Tensor) -> Tensor:
        """s at timesteps, (B, 1, 1, 1); 0 at the clean image, below t = 0."""
        found = torch.where(t < 0, 0.0, self.sigma[t.clamp(min=0)])
        return found[:, None, None, None]


def distill_steps(job: Job, device: torch.device) -> bool:
    """Train a student for fewer steps and write its files; resumes by itself.

    Args:
        job: its item names dataset, origin (a block of students), width, seed, steps,
            those of the network that it starts from (start_steps, and its stage) and
            of the teacher's sampler (full_steps).
        device: from `runtime.configure`.

    Returns:
        False if asked to stop before the end; the state is saved.
    """
    item, own, section = job.item, job.params["distill_steps"], _section(job)
    settings = TrainSettings.from_params(section)
    schedule = Schedule.from_params(job.params["diffusion"])
    data = load_npz(job.input("prepare_data"), ARRAYS)
    launch = launch_mode(device.type)
    stride = schedule.timesteps // item["steps"]
    stream = f"steps{item['steps']}"
    args = (settings, item["seed"], stream, device, stride)
    source = batch_source(data, schedule, *args)

    def stepped(stage: str, steps: int, numerics: str) -> StepTeacher:
        model = load_network(job, stage, schedule, data).model
        frozen = FrozenTeacher(model, device, numerics, launch)
        path = (steps, item["steps"], own["guidance_scale"], device)
        return StepTeacher(frozen, schedule, *path)

    targets = stepped(item["start_stage"], item["start_steps"], settings.numerics)
    # in single precision, for half of it would blur the gap
    teacher = stepped("train_teacher", item["full_steps"], "fp32")
    fixed = source.fixed(section["monitor_batch"])
    every = section["monitor_every"]
    monitor = GapMonitor(teacher, fixed, every, settings.iterations)
    model = load_network(job, item["start_stage"], schedule, data).model
    learner = _learner(job, model, schedule, settings, device)

    def finish(done: Learner) -> None:
        names = tuple(data["class_names"])
        write_student(job, done, schedule, names)
        test = {name: data[name.replace("train", "test")] for name in ARRAYS[:2]}
        pairs = batch_source(test, schedule, replace(settings, holdout=0.0), *args[1:])
        gap = measure_gap(done, teacher, pairs, own["pairs"])
        write_json(job.output("gap.json"), gap)

    def write(path: Path) -> None:
        learner.save_network(path, schedule, "student", data["class_names"])

    about = (job.state, job.log, write, finish, _raise, job.progress)
    task = Task(learner, monitor, *about)
    cadence = Cadence.from_environment()
    return train([task], source, targets, cadence, job.stop_requested, launch)


def _section(job: Job) -> dict:
    """The students' training, as long as this one is."""
    own = job.params["distill_steps"]
    return {**job.params["train_student"], "iterations": own["iterations"]}


def _raise(error: Exception) -> None:
    raise error


def _learner(
    job: Job,
    model: UNet,
    schedule: Schedule,
    settings: TrainSettings,
    device: torch.device,
) -> Learner:
    """The student at its start: the network that it is to be faster than."""
    block = {**job.params["students"][job.item["origin"]], **TERMS}
    mode, timesteps = settings.label_dropout_mode, schedule.timesteps
    return Learner(
        job.id,
        model.requires_grad_(True),
        student_objective(block, mode, timesteps, None, {}),
        weights_of(job, block, schedule),
        settings,
        seed=job.item["seed"],
        lambda_lr=block["lambda_lr"],
        device=device,
        launch=launch_mode(device.type),
    )


@torch.no_grad()
def measure_gap(
    learner: Learner, teacher: StepTeacher, source: BatchSource, pairs: int
) -> dict[str, float | int]:
    """Gap statistics against the teacher's over the same steps (Eq. 9).

    Args:
        learner: its averaged weights are measured.
        teacher: the teacher, whose steps are as long as the learner's.
        source: of images that were not trained on.
        pairs: triples (x_t, t, y).

    Returns:
        Content of gap.json: pairs, rho, cos, gap_mse, err_cond, err_uncond.
    """
    batch, parts = source.fixed(pairs), []
    with learner.averaged() as model:
        for chunk in torch.arange(pairs).split(_CHUNK):
            here = chunk.to(batch.t.device)
            fields = {k: getattr(batch, k)[here] for k in ("x_t", "t", "labels")}
            some = replace(batch, **fields)
            own, wanted = both_branches(model, some)[:2], teacher(some)
            parts.append(gap_statistics(*own, wanted.eps_cond, wanted.eps_uncond))
    stats = {name: torch.cat([part[name] for part in parts]) for name in parts[0]}
    return {"pairs": pairs, **summarize_gaps(stats)}
