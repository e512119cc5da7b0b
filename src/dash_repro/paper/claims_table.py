"""The claims table: every claim, on the paper's tables and on this run's."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal
from typing import Any

from dash_repro.paper.aggregate import Cell, mean
from dash_repro.paper.claims import (
    NOT_TESTABLE,
    Claim,
    OurCells,
    PaperCells,
    Verdict,
    judge,
    load_claims,
)
from dash_repro.paper.context import Context, demo_mark
from dash_repro.paper.needs import TEACHER
from dash_repro.paper.rows import Collected, Row
from dash_repro.paper.table import Entry, Line, Table
from dash_repro.paper.tables_extended import anchor, table_c5, table_c6, table_c7
from dash_repro.paper.tables_main import table2, table3, table4
from dash_repro.paper.tables_spread import table_b3, table_b4

READ: dict[str, Callable[[Context], Table]] = {
    "table2": table2,
    "table3": table3,
    "table4": table4,
    "tableB3": table_b3,
    "tableB4": table_b4,
    "tableC5": table_c5,
    "tableC6": table_c6,
    "tableC7": table_c7,
    "anchor": anchor,
}
_RAGGED = r">{\raggedright\arraybackslash}p{%s\linewidth}"
ALIGN = "".join(_RAGGED % share for share in (0.41, 0.14, 0.1, 0.14, 0.1))
PAPER_DATASETS = ("cifar10", "cifar100")


def claims(context: Context) -> Table:
    """Judge every claim of claims.yaml twice and lay the verdicts side by side."""
    entries = load_claims(context.sources["claims.yaml"])
    tables = {item: build(context.build_of(item)) for item, build in READ.items()}
    ours = OurCells(tables, extra_values(context.collected))
    paper = PaperCells(context.sources)
    datasets = context.param("experiments.table3.datasets")
    sampling = context.param("experiments.sampling")
    names = {"trained_w": f"w{float(sampling['guidance_scale'])}"}
    is_fid = {row.name for row in context.collected.find("frechet")} == {"FID"}
    lines = []
    for claim in entries:
        on_paper = judge(claim, paper, PAPER_DATASETS, False, {"trained_w": "w4.0"})
        on_ours = judge(claim, ours, datasets, True, names)
        if claim.absolute and not is_fid and on_ours.verdict != NOT_TESTABLE:
            reason = "it speaks of FID points, and this run's metric is another"
            on_ours = replace(on_ours, verdict=NOT_TESTABLE, reason=reason)
        lines.append(_line(claim, on_paper, on_ours))
    return Table(
        context.item,
        "Claims of the text, recomputed from the paper’s own tables and from this "
        f"run’s. {demo_mark(context.scale)}",
        ("Claim", "values", "verdict", "values", "verdict"),
        tuple(lines),
        (("", 1), ("the paper’s tables", 2), ("this run", 2)),
        align=ALIGN,
        long=True,
    )


def _line(claim: Claim, on_paper: Verdict, on_ours: Verdict) -> Line:
    entries = []
    for side, verdict in (("paper", on_paper), ("ours", on_ours)):
        address = f"claims/{claim.id}/{side}"
        about = "; ".join(filter(None, (verdict.reason, claim.remark)))
        formula = f"{claim.holds} from {', '.join(verdict.operands) or 'nothing'}"
        entries.append(_text(f"{address}_values", verdict.shown, formula))
        entries.append(_text(f"{address}_verdict", verdict.verdict, about))
    label = claim.sentence + (f" {claim.remark}" if claim.remark else "")
    return Line(claim.id, label, tuple(Entry((cell,)) for cell in entries))


def _text(address: str, text: str, note: str) -> Cell:
    return Cell(address, text, "claim", note=note)


def extra_values(collected: Collected) -> dict[str, Decimal]:
    """Numbers that claims read from curves, under addresses of their own.

    curve/<student>/{d}_rho_bin_min, _max: of rho(t), the mean over seeds in each bin;
    curve/<student>/{d}_rho_early, _third, _last: of rho from a tenth, from a
        third, and at the end of training (before a tenth a student is hardly trained);
    curve/<student>/{d}_rho_settled: largest distance from the last after a third;
    tirt/{d}/ratio, peak_t, rank_correlation: of omega_hat over Min-SNR.
    """
    extra: dict[str, Decimal] = {}
    places = sorted({(row.dataset, row.model) for row in collected.find("rho_bin")})
    for dataset, model in places:
        rows = collected.find(
            "rho_bin", dataset=dataset, model=model, width=_width(collected)
        )
        numbers = [number for _, number in mean_over_seeds(rows, "x")]
        if numbers:
            extra[f"curve/{model}/{dataset}_rho_bin_min"] = min(numbers)
            extra[f"curve/{model}/{dataset}_rho_bin_max"] = max(numbers)
    for dataset, model in sorted(
        {(row.dataset, row.model) for row in collected.find("rho_step")}
    ):
        rows = collected.find("rho_step", dataset=dataset, model=model)
        extra |= _training_values(mean_over_seeds(rows, "step"), dataset, model)
    for dataset in sorted({row.dataset for row in collected.find("omega_hat")}):
        extra |= _tirt_values(collected, dataset)
    return extra


def _width(collected: Collected) -> int:
    return collected.param("experiments.table3.width")


def mean_over_seeds(rows: list[Row], along: str) -> list[tuple[Decimal, Decimal]]:
    """(x or step, mean over seeds), sorted along it."""
    groups: dict[Decimal, list[Decimal]] = {}
    for row in rows:
        groups.setdefault(Decimal(getattr(row, along)), []).append(row.number)
    return [(at, mean(numbers)) for at, numbers in sorted(groups.items())]


def _training_values(
    curve: list[tuple[Decimal, Decimal]], dataset: str, model: str
) -> dict[str, Decimal]:
    end, last = curve[-1]
    late = [number for step, number in curve if step * 3 >= end]
    name = f"curve/{model}/{dataset}_rho"
    return {
        f"{name}_early": next(rho for step, rho in curve if step * 10 >= end),
        f"{name}_third": late[0],
        f"{name}_last": last,
        f"{name}_settled": max(abs(number - last) for number in late),
    }


def _tirt_values(collected: Collected, dataset: str) -> dict[str, Decimal]:
    """How far, where and along what omega_hat departs from Min-SNR."""
    base = dict(_curve(collected.find("omega_min_snr")))
    weights = _curve(collected.find("omega_hat", dataset=dataset, model=TEACHER))
    ratio = {t: number / base[t] for t, number in weights}
    loss = dict(_curve(collected.find("loss_mean", dataset=dataset, model=TEACHER)))
    shared = [t for t in ratio if t in loss]
    values: dict[str, Any] = {
        "ratio": max(ratio.values()) / min(ratio.values()),
        "peak_t": max(ratio, key=lambda t: ratio[t]),
    }
    if len(shared) > 2:
        pairs = [ratio[t] for t in shared], [loss[t] for t in shared]
        values["rank_correlation"] = rank_correlation(*pairs)
    return {f"tirt/{dataset}/{name}": value for name, value in values.items()}


def _curve(rows: list[Row]) -> list[tuple[Decimal, Decimal]]:
    return sorted((Decimal(row.x), row.number) for row in rows)


def rank_correlation(first: list[Decimal], second: list[Decimal]) -> Decimal:
    """Spearman's rank correlation of two equally long lists; ties share a rank."""
    a, b = _ranks(first), _ranks(second)
    mean_a, mean_b = mean(a), mean(b)
    cross = sum((x - mean_a) * (y - mean_b) for x, y in zip(a, b, strict=True))
    spread = sum((x - mean_a) ** 2 for x in a) * sum((y - mean_b) ** 2 for y in b)
    return Decimal(cross) / Decimal(spread).sqrt() if spread else Decimal(0)


def _ranks(values: list[Decimal]) -> list[Decimal]:
    order = sorted(values)
    first = {value: index for index, value in reversed(list(enumerate(order)))}
    last = {value: index for index, value in enumerate(order)}
    return [Decimal(first[value] + last[value]) / 2 for value in values]
