"""Tables C5 and C7: sampling steps and guidance scale, teacher, student and gap."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from dash_repro.paper.bounds import BOUNDS, quality_notes
from dash_repro.paper.columns import heads_of
from dash_repro.paper.context import Context, PaperTable
from dash_repro.paper.measures import MEASURES
from dash_repro.paper.names import dataset_name, model_name
from dash_repro.paper.needs import STUDENTS, TEACHER, bounds, experiments, metrics
from dash_repro.paper.protocol import protocol
from dash_repro.paper.registry import Section, TableSpec, register
from dash_repro.paper.table import Entry, Line, Table

COLUMN = "fd"  # every column shows the distance
GAP_NOTE = (
    "Gap: student minus teacher, from the unrounded values; it may differ in the last "
    "digit from the difference of the printed ones."
)


@dataclass(frozen=True, kw_only=True)
class SweepTable(TableSpec):
    """A table whose columns are values of one setting of the sampler.

    Attributes:
        experiment: block of `experiments`; it lists the values.
        samplers: as Need has them; "steps" or "scales".
        values: key of the block that lists them.
        setting: field of Sampler that they are.
        column, head: names and headings of the columns, with {value}.
        corner: heading over the labels.
        by_dataset: rows are named for their dataset even where there is one only.
        caption: of the distance's name and the context, before the protocol.
    """

    experiment: str
    samplers: str
    values: str
    setting: str
    column: str
    head: str
    corner: str
    caption: Callable[[str, Context], str]
    by_dataset: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        models = (STUDENTS, TEACHER)
        needs = metrics(self.experiment, models, self.samplers), bounds(self.experiment)
        object.__setattr__(self, "needs", needs)
        object.__setattr__(
            self, "params", (*experiments(self.experiment), "tag", "students")
        )

    def table(self, context: Context) -> Table:
        """Lay it out: for each dataset teacher, student, their gap and the bounds."""
        paper = context.source(self.csv, *self.keys)
        block = context.param(f"experiments.{self.experiment}")
        datasets, lines = block["datasets"], []
        several = self.by_dataset or len(datasets) > 1
        for dataset in datasets:
            if several:
                lines.append(Line(dataset, dataset_name(dataset), rule=bool(lines)))
            prefix = f"{dataset}_" if several else ""
            lines += self._lines(context, block, dataset, prefix, paper)
        (metric,) = heads_of(context, [COLUMN])
        how = protocol(context, self.experiment, self.samplers)
        values = self._values(block)
        return Table(
            context.item,
            f"{self.caption(metric, context)} {how}",
            (self.corner, *(self.head.format(value=value) for value in values)),
            tuple(lines),
            notes=(GAP_NOTE, *quality_notes(context, datasets)),
        )

    def _values(self, block: dict[str, Any]) -> list[Any]:
        kind = float if self.setting == "scale" else int
        return [kind(value) for value in block[self.values]]

    def _lines(
        self,
        context: Context,
        block: dict[str, Any],
        dataset: str,
        prefix: str,
        paper: PaperTable,
    ) -> list[Line]:
        """The rows of one dataset."""
        student, width = block["student"], block["width"]
        digits = MEASURES[COLUMN].digits(context.settings)
        metric = MEASURES[COLUMN].metric
        boxes: dict[str, list[Entry]] = {"teacher": [], student: [], "gap": []}
        boxes |= {f"bound_{name}": [] for name in BOUNDS}

        def add(row: str, cell: Any) -> None:
            boxes[row].append(Entry((cell,)))

        for value in self._values(block):
            column, found = self.column.format(value=value), {}
            for row, model, size in (
                ("teacher", TEACHER, None),
                (student, student, width),
            ):
                sampler = replace(context.sampler(model), **{self.setting: value})
                place = (self.experiment, dataset, model, size, sampler)
                found[row], id = context.metric(metric, *place), prefix + row
                said = paper.value(id, column)
                address = f"{id}/{column}"
                add(row, context.measured(address, found[row], digits, paper=said))
            both = found[student], found["teacher"]
            address = f"{prefix}gap/{column}"
            add("gap", context.of_two("difference", address, *both, digits))
            for name in BOUNDS:
                row = f"bound_{name}"
                rows = context.bound(name, metric, dataset)
                add(row, context.measured(f"{prefix}{row}/{column}", rows, digits))
        labels = {f"bound_{name}": label for name, label in BOUNDS.items()}
        labels |= {"teacher": model_name("teacher"), "gap": "Gap"}
        labels[student] = f"{model_name(student)}, {width} channels"
        return [
            Line(prefix + row, labels[row], tuple(entries))
            for row, entries in boxes.items()
        ]


def _steps_caption(metric: str, context: Context) -> str:
    return (
        f"Sampling steps ({metric}). Trained once; the step count changes at sampling "
        "only."
    )


def _guidance_caption(metric: str, context: Context) -> str:
    datasets: Sequence[str] = context.param("experiments.tableC7.datasets")
    constant = context.param("experiments.sampling.student_guidance") == "constant"
    of_student = "constant w of the student, " if constant else "student and "
    return (
        f"Guidance scale ({metric}, {', '.join(map(dataset_name, datasets))}): "
        f"{of_student}TAG's w_{{max}} of the teacher."
    )


register(
    SweepTable(
        name="tableC5",
        title="Sampling steps",
        section=Section.APPENDIX_C,
        experiment="tableC5",
        csv="tableC5_steps.csv",
        keys=("dataset", "model"),
        samplers="steps",
        values="steps",
        setting="steps",
        column="fd_{value}",
        head="{value}",
        corner="Steps",
        caption=_steps_caption,
        by_dataset=True,
        claims=True,
    )
)
register(
    SweepTable(
        name="tableC7",
        title="Guidance scale",
        section=Section.APPENDIX_C,
        experiment="tableC7",
        csv="tableC7_guidance.csv",
        keys=("model",),
        samplers="scales",
        values="guidance_scales",
        setting="scale",
        column="w{value}",
        head="{value:.1f}",
        corner="w",
        caption=_guidance_caption,
        claims=True,
    )
)
