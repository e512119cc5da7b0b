"""How one iteration of several learners is carried out: eagerly, or as a CUDA graph."""

from __future__ import annotations

import traceback
from collections.abc import Callable, Sequence

import torch

from dash_repro.graphs import WARM_UP, Work, record, side_stream
from dash_repro.objectives.objective import Batch, Targets
from dash_repro.training.batches import BatchSource
from dash_repro.training.frozen import FrozenTeacher
from dash_repro.training.learner import Learner

Failures = dict[Learner, Exception]


class EagerSteps:
    """Operation by operation; what one learner raises does not reach the others.

    Args:
        source: the batches.
        teacher: None where no learner needs one.
    """

    def __init__(self, source: BatchSource, teacher: FrozenTeacher | None) -> None:
        self.source, self.teacher = source, teacher

    def __call__(self, learners: Sequence[Learner], step: int) -> Failures:
        """Iteration `step` of all these learners; returns those that failed.

        Raises:
            torch.OutOfMemoryError: they do not fit the GPU together.
        """
        self.source.prepare(step)
        batch, targets = self._shared(learners)
        failures: Failures = {}
        for learner in learners:
            try:
                learner.update(batch, targets)
            except torch.OutOfMemoryError:
                # not this learner's fault: there are too many (training/students.py)
                raise
            except Exception as error:
                # the frames of a kept traceback would hold its activations
                traceback.clear_frames(error.__traceback__)
                failures[learner] = error
        return failures

    def _shared(self, learners: Sequence[Learner]) -> tuple[Batch, Targets | None]:
        """The batch, and the teacher's outputs if one of them needs those."""
        objectives = [learner.objective for learner in learners]
        batch = self.source.drawn()
        if not any(objective.needs_teacher for objective in objectives):
            return batch, None
        assert self.teacher is not None
        features = any(objective.needs_features for objective in objectives)
        return batch, self.teacher(batch, features)


class GraphSteps(EagerSteps):
    """The whole iteration, batch, teacher and all learners, as one CUDA graph.

    The first iterations of a set of learners run eagerly; then the iteration is
    recorded, and replayed for as long as the set stays the same. Learners are on
    parallel streams within it, for a small network alone does not fill a GPU.

    Args:
        source, teacher: as above.
        record: see `graphs.record`; tests put another in.
    """

    def __init__(
        self,
        source: BatchSource,
        teacher: FrozenTeacher | None,
        record: Callable[..., Work] = record,
    ) -> None:
        super().__init__(source, teacher)
        self._record = record
        self._set: tuple[Learner, ...] = ()
        self._eager_left, self._replay = 0, None
        cuda = source.device.type == "cuda"
        self._stream = torch.cuda.Stream(source.device) if cuda else None
        self._streams: list[torch.cuda.Stream] = []

    def __call__(self, learners: Sequence[Learner], step: int) -> Failures:
        """Iteration `step`; only the eager ones can return failures."""
        if tuple(learners) != self._set:
            self._set, self._replay = tuple(learners), None
            self._eager_left = WARM_UP
        with side_stream(self.source.device, self._stream):
            if self._eager_left:
                self._eager_left -= 1
                return super().__call__(learners, step)
            self.source.prepare(step)
            for learner in learners:
                learner.begin()
            if self._replay is None:
                self._replay = self._recorded(learners)
            self._replay()
            for learner in learners:
                learner.end()
        return {}

    def _recorded(self, learners: Sequence[Learner]) -> Work:
        generators = [self.source.rng, *(one.dropout_rng for one in learners)]
        return self._record(lambda: self._work(learners), generators)

    def _work(self, learners: Sequence[Learner]) -> None:
        batch, targets = self._shared(learners)
        if self._stream is None or len(learners) == 1:
            for learner in learners:
                learner.compute(batch, targets)
            return
        while len(self._streams) < len(learners):
            self._streams.append(torch.cuda.Stream(self.source.device))
        fork = torch.cuda.current_stream()
        for learner, stream in zip(learners, self._streams, strict=False):
            stream.wait_stream(fork)
            with torch.cuda.stream(stream):
                learner.compute(batch, targets)
        for stream in self._streams[: len(learners)]:
            fork.wait_stream(stream)


def make_steps(
    source: BatchSource, teacher: FrozenTeacher | None, launch: str
) -> EagerSteps:
    """Steps as `launch_mode` says; a compiled step is recorded, too."""
    return (EagerSteps if launch == "eager" else GraphSteps)(source, teacher)
