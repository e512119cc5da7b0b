"""Trainings outside a workspace: a job whose files lie in one folder."""

from __future__ import annotations

import copy
import logging
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any


class FolderJob:
    """What training needs of `runledger.job.Job`; no record is written.

    Args:
        folder: has images.npz, and gets what is made; students in folders of their own.
        stop: asked after every iteration; true: save and leave.
        stage: of the pipeline.
        params: of params.yaml.
        item: the identity of the instance.
    """

    def __init__(
        self,
        folder: Path,
        stop: Callable[[], bool],
        stage: str,
        params: Mapping[str, Any],
        item: Mapping[str, Any],
    ) -> None:
        self.folder, self.stage, self.item = folder, stage, dict(item)
        self.stop_requested = stop
        self.params = copy.deepcopy(dict(params))
        self.id = "-".join(str(value) for value in item.values())
        self.log = logging.getLogger(f"bench.{stage}.{self.id}")
        self.status: str = "open"
        self.error: BaseException | None = None

    def input(self, stage: str, name: str | None = None) -> Path:
        return self.folder / (name or "images.npz")

    def output(self, name: str) -> Path:
        student = self.item.get("student")
        folder = self.folder / student if student else self.folder
        folder.mkdir(parents=True, exist_ok=True)
        return folder / name

    @property
    def state(self) -> Path:
        return self.folder / "state" / f"{self.stage}-{self.id}"

    def progress(self, **fields: Any) -> None:
        """The log has the same numbers."""

    def finish(self) -> None:
        self.status = "done"

    def fail(self, error: BaseException) -> None:
        self.status, self.error = "failed", error
