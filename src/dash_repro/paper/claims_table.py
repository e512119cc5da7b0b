"""The claims table: every claim, on the paper's tables and on this run's."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from dash_repro.paper.aggregate import Cell
from dash_repro.paper.claim_cells import OurCells, PaperCells
from dash_repro.paper.claim_curves import extra_values
from dash_repro.paper.claims import Claim, load_claims
from dash_repro.paper.context import Context
from dash_repro.paper.needs import (
    ALL,
    CURRICULUM_NEED,
    EXPORT_NEED,
    HISTORY_NEED,
    TIRT_PARAMS,
)
from dash_repro.paper.registry import Section, TableSpec
from dash_repro.paper.rows import Collected
from dash_repro.paper.scale import mark
from dash_repro.paper.table import Line, Table
from dash_repro.paper.verdicts import (
    ERROR_RATE,
    VERDICTS,
    Verdict,
    judge,
    measure_ours,
    measure_paper,
)

_RAGGED = r">{\raggedright\arraybackslash}p{%s\linewidth}"
ALIGN = "".join(_RAGGED % share for share in (0.28, 0.19, 0.09, 0.28, 0.11))


@dataclass(frozen=True, kw_only=True)
class ClaimsTable(TableSpec):
    """The claims, and the tables that they read.

    Its needs are the union of what those tables need, and three curves more.
    """

    read: tuple[TableSpec, ...]

    def __post_init__(self) -> None:
        super().__post_init__()
        curves = (EXPORT_NEED, CURRICULUM_NEED, HISTORY_NEED)
        needs = [need for spec in self.read for need in spec.needs]
        needs += [replace(need, seeds=ALL) for need in curves]
        params = [key for spec in self.read for key in spec.params]
        params += [*TIRT_PARAMS, "train_student.iterations", "diffusion.timesteps"]
        self.collects(needs, params)

    @property
    def sources(self) -> tuple[str, ...]:
        """The claims, and the paper's tables behind those that they read."""
        own = (source for spec in self.read for source in spec.sources)
        return ("paper/claims.yaml", *dict.fromkeys(own))

    def table(self, context: Context) -> Table:
        """Judge every claim twice and lay the verdicts side by side."""
        return claims(context, self.read)


def claims_table(tables: Iterable[TableSpec]) -> ClaimsTable:
    """The table of claims, which reads those of the tables that say so."""
    return ClaimsTable(
        name="claims",
        about_paper=True,
        title="Claims of the text",
        label="Claims",
        section=Section.CLAIMS,
        derived=("min_snr",),
        read=tuple(spec for spec in tables if spec.claims),
    )


def claims(context: Context, read: Sequence[TableSpec]) -> Table:
    """Judge every claim of claims.yaml twice and lay the verdicts side by side."""
    entries = load_claims(context.sources["claims.yaml"])
    cells, left_out = _our_cells(context, read)
    paper = PaperCells(context.sources, read)
    datasets = context.param("experiments.table3.datasets")
    sampling = context.param("experiments.sampling")
    names = {"trained_w": f"w{float(sampling['guidance_scale'])}"}
    ours = [measure_ours(claim, cells, left_out, datasets, names) for claim in entries]
    tests = sum(measured.uncertain for measured in ours)
    metrics = {row.name for row in context.collected.find("frechet")}
    comparable = context.scale == "paper" and metrics == {"FID"}
    lines, verdicts = [], []
    for claim, measured in zip(entries, ours, strict=True):
        on_paper = measure_paper(claim, paper, {"trained_w": "w4.0"})
        on_ours = judge(claim, measured, ERROR_RATE / max(tests, 1), comparable)
        lines.append(_line(claim, judge(claim, on_paper, ERROR_RATE, True), on_ours))
        verdicts.append(on_ours.verdict)
    counts = ", ".join(f"{verdicts.count(name)} {name}" for name in VERDICTS)
    return Table(
        context.item,
        "Claims of the text, recomputed from the paper’s own tables and from this "
        f"run’s. This run: {counts}. {mark(context.scale).caption}",
        ("Claim", "values", "verdict", "values", "verdict"),
        tuple(lines),
        (("", 1), ("the paper’s tables", 2), ("this run", 2)),
        notes=(_rule(tests), PAPER_SIDE),
        align=ALIGN,
        long=True,
    )


PAPER_SIDE = (
    "The paper’s tables: arithmetic on the printed means, which come without values by "
    "seed; so nothing there is inconclusive."
)


def _rule(tests: int) -> str:
    """How verdicts on this run are reached, in words."""
    return (
        "This run: a claim holds if the intervals of all its effects lie above zero "
        "(or above the bound that the text gives), fails if one lies below, and is "
        "inconclusive otherwise. Intervals, in brackets: jackknife over training seeds "
        "and, where there are several, sampling seeds, which pairs the two sides of a "
        "difference by seed, and Student’s t; together they miss in at most "
        f"{100 * ERROR_RATE:.0f} % of runs (Bonferroni over {tests} claims with "
        "several seeds, and over the effects of each)."
    )


def _our_cells(
    context: Context, read: Sequence[TableSpec]
) -> tuple[OurCells, dict[str, dict[str, OurCells]]]:
    """This run's numbers, and the same without each training and sampling seed."""

    def cells(field: str, which: str) -> OurCells:
        rows = context.collected
        if which:
            left = [row for row in rows.rows if getattr(row, field) != which]
            rows = Collected(left, rows.where)
        return OurCells(tables, extra_values(rows), (field, which))

    tables = {spec.name: spec.table(replace(context, item=spec.name)) for spec in read}
    ours = [row for row in context.collected.rows if row.seed]
    left_out = {
        field: {seed: cells(field, seed) for seed in {getattr(r, field) for r in ours}}
        for field in ("seed", "sampling_seed")
    }
    return cells("seed", ""), left_out


def _line(claim: Claim, on_paper: Verdict, on_ours: Verdict) -> Line:
    """Each side's values, with the formula and its cells, and its verdict, with why."""
    effects = " and ".join(f"{effect} > 0" for effect in claim.effects) or "nothing"
    cells = []
    for side, verdict in (("paper", on_paper), ("ours", on_ours)):
        address = f"claims/{claim.id}/{side}"
        formula = f"{effects} from {', '.join(verdict.operands) or 'nothing'}"
        about = "; ".join(filter(None, (verdict.reason, claim.remark)))
        for part, text, note in (
            ("values", verdict.shown, formula),
            ("verdict", verdict.verdict, about),
        ):
            cells.append(Cell(f"{address}_{part}", text, "claim", note=note))
    label = claim.sentence + (f" {claim.remark}" if claim.remark else "")
    return Line.of_cells(claim.id, label, cells)
