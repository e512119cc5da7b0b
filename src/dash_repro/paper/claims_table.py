"""The claims table: every claim, on the paper's tables and on this run's."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Any

from dash_repro.paper.aggregate import Cell, mean
from dash_repro.paper.claim_cells import OurCells, PaperCells
from dash_repro.paper.claims import Claim, load_claims
from dash_repro.paper.context import Context, demo_mark
from dash_repro.paper.needs import TEACHER
from dash_repro.paper.rows import Collected, Row
from dash_repro.paper.table import Entry, Line, Table
from dash_repro.paper.tables_extended import anchor, table_c5, table_c6, table_c7
from dash_repro.paper.tables_main import table2, table3, table4
from dash_repro.paper.tables_spread import table_b3, table_b4
from dash_repro.paper.verdicts import (
    ERROR_RATE,
    VERDICTS,
    Verdict,
    judge,
    measure_ours,
    measure_paper,
)

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
ALIGN = "".join(_RAGGED % share for share in (0.34, 0.2, 0.09, 0.2, 0.1))


def claims(context: Context) -> Table:
    """Judge every claim of claims.yaml twice and lay the verdicts side by side."""
    entries = load_claims(context.sources["claims.yaml"])
    cells, without = _our_cells(context)
    paper = PaperCells(context.sources)
    datasets = context.param("experiments.table3.datasets")
    sampling = context.param("experiments.sampling")
    names = {"trained_w": f"w{float(sampling['guidance_scale'])}"}
    ours = [measure_ours(claim, cells, without, datasets, names) for claim in entries]
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
        f"run’s. This run: {counts}. {demo_mark(context.scale)}",
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
        "inconclusive otherwise. Intervals, in brackets: jackknife over training "
        "seeds, which pairs the two sides of a difference by seed, and Student’s t; "
        f"together they miss in at most {100 * ERROR_RATE:.0f} % of runs (Bonferroni "
        f"over {tests} claims with several seeds, and over the effects of each)."
    )


def _our_cells(context: Context) -> tuple[OurCells, dict[str, OurCells]]:
    """This run's numbers, and the same without each training seed."""

    def cells(without: str) -> OurCells:
        rows = context.collected
        if without:
            rows = Collected([r for r in rows.rows if r.seed != without], rows.where)
        return OurCells(tables, extra_values(rows), without)

    tables = {item: build(context.build_of(item)) for item, build in READ.items()}
    seeds = {row.seed for row in context.collected.rows if row.seed}
    return cells(""), {seed: cells(seed) for seed in sorted(seeds)}


def _line(claim: Claim, on_paper: Verdict, on_ours: Verdict) -> Line:
    entries = []
    for side, verdict in (("paper", on_paper), ("ours", on_ours)):
        address = f"claims/{claim.id}/{side}"
        about = "; ".join(filter(None, (verdict.reason, claim.remark)))
        formula = _formula(claim, verdict)
        entries.append(_text(f"{address}_values", verdict.shown, formula))
        entries.append(_text(f"{address}_verdict", verdict.verdict, about))
    label = claim.sentence + (f" {claim.remark}" if claim.remark else "")
    return Line(claim.id, label, tuple(Entry((cell,)) for cell in entries))


def _formula(claim: Claim, verdict: Verdict) -> str:
    """The effects that decide, and the cells that they read."""
    effects = " and ".join(f"{effect} > 0" for effect in claim.effects) or "nothing"
    return f"{effects} from {', '.join(verdict.operands) or 'nothing'}"


def _text(address: str, text: str, note: str) -> Cell:
    return Cell(address, text, "claim", note=note)


Extras = dict[str, tuple[Decimal, frozenset[str]]]


def extra_values(collected: Collected) -> Extras:
    """Numbers that claims read from curves, under addresses of their own.

    curve/<student>/{d}_rho_bin_min, _max: of rho(t), the mean over seeds in each bin;
    curve/<student>/{d}_rho_off_late, _rest: mean distance of rho(t) from 1 over the
        bins with t above 0.7 T, and over the others;
    curve/<student>/{d}_rho_early, _third, _last: of rho from a tenth, from a
        third, and at the end of training (before a tenth a student is hardly trained);
    curve/<student>/{d}_rho_settled: largest distance from the last after a third;
    tirt/{d}/ratio, peak_t, rank_correlation: of omega_hat over Min-SNR.

    Returns:
        {address: (number, training seeds that it rests on)}.
    """
    extra: Extras = {}
    for metric, values_of in (("rho_bin", _bin_values), ("rho_step", _step_values)):
        places = sorted({(row.dataset, row.model) for row in collected.find(metric)})
        for dataset, model in places:
            width = _width(collected) if metric == "rho_bin" else None
            rows = collected.find(metric, dataset=dataset, model=model, width=width)
            if not rows:
                continue
            seeds = frozenset(row.seed for row in rows)
            values = values_of(collected, rows)
            extra |= {
                f"curve/{model}/{dataset}_rho_{name}": (number, seeds)
                for name, number in values.items()
            }
    for dataset in sorted({row.dataset for row in collected.find("omega_hat")}):
        rows = collected.find("omega_hat", dataset=dataset, model=TEACHER)
        seeds = frozenset(row.seed for row in rows)
        values = _tirt_values(collected, dataset)
        extra |= {f"tirt/{dataset}/{name}": (x, seeds) for name, x in values.items()}
    return extra


def _bin_values(collected: Collected, rows: list[Row]) -> dict[str, Decimal]:
    """Of rho over the bins of t."""
    curve = mean_over_seeds(rows, "x")
    late_from = Decimal("0.7") * collected.param("diffusion.timesteps")
    numbers = [rho for _, rho in curve]
    values = {"bin_min": min(numbers), "bin_max": max(numbers)}
    off = {
        "off_late": [abs(1 - rho) for t, rho in curve if t > late_from],
        "off_rest": [abs(1 - rho) for t, rho in curve if t <= late_from],
    }
    return values | {name: mean(numbers) for name, numbers in off.items() if numbers}


def _width(collected: Collected) -> int:
    return collected.param("experiments.table3.width")


def mean_over_seeds(rows: list[Row], along: str) -> list[tuple[Decimal, Decimal]]:
    """(x or step, mean over seeds), sorted along it."""
    groups: dict[Decimal, list[Decimal]] = {}
    for row in rows:
        groups.setdefault(Decimal(getattr(row, along)), []).append(row.number)
    return [(at, mean(numbers)) for at, numbers in sorted(groups.items())]


def _step_values(_: Collected, rows: list[Row]) -> dict[str, Decimal]:
    """Of rho over training."""
    curve = mean_over_seeds(rows, "step")
    end, last = curve[-1]
    late = [number for step, number in curve if step * 3 >= end]
    return {
        "early": next(rho for step, rho in curve if step * 10 >= end),
        "third": late[0],
        "last": last,
        "settled": max(abs(number - last) for number in late),
    }


def _tirt_values(collected: Collected, dataset: str) -> dict[str, Decimal]:
    """How far, where and along what omega_hat, mean over seeds, leaves Min-SNR."""

    def curve(metric: str) -> list[tuple[Decimal, Decimal]]:
        rows = collected.find(metric, dataset=dataset, model=TEACHER)
        return mean_over_seeds(rows, "x")

    base = dict(mean_over_seeds(collected.find("omega_min_snr"), "x"))
    ratio = {t: number / base[t] for t, number in curve("omega_hat")}
    loss = dict(curve("loss_mean"))
    shared = [t for t in ratio if t in loss]
    values: dict[str, Any] = {
        "ratio": max(ratio.values()) / min(ratio.values()),
        "peak_t": max(ratio, key=lambda t: ratio[t]),
    }
    if len(shared) > 2:
        pairs = [ratio[t] for t in shared], [loss[t] for t in shared]
        values["rank_correlation"] = rank_correlation(*pairs)
    return values


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
