"""Table 2: components of the teacher, beside literature rows as printed."""

from __future__ import annotations

from dash_repro.paper.columns import Parameters, Quality, Setting, TableRow
from dash_repro.paper.context import Sampler
from dash_repro.paper.needs import MIN_SNR_TEACHER, TEACHER
from dash_repro.paper.registry import Section
from dash_repro.paper.results import View, results_table

LITERATURE = {"ddpm": "DDPM †", "iddpm": "iDDPM †", "edm": "EDM † §"}
OURS = {  # row -> label, teacher, the constant scale (None: TAG)
    "min_snr": ("Min-SNR, w = {low:g}", MIN_SNR_TEACHER, "low"),
    "fixed_cfg": ("Min-SNR, w = {high:g}", MIN_SNR_TEACHER, "high"),
    "tag_only": ("Min-SNR, TAG", MIN_SNR_TEACHER, None),
    "tirt_only": ("TIRT, w = {low:g}", TEACHER, "low"),
    "full": ("TIRT, TAG (full)", TEACHER, None),
}
NOTES = (
    "† FID and IS as the paper prints them from the literature: not verified here, and "
    "left out where the columns name another metric.",
    "§ Contradicts its source: Karras et al. (2022) give FID 1.97 for unconditional "
    "CIFAR-10, with 35 evaluations of the network, and 1.79 for conditional.",
)
STEPS = Setting(
    "steps",
    "Steps",
    lambda view, row: str((row.sampler or view.context.sampler(row.model)).steps),
)


def _rows(view: View) -> list[TableRow]:
    """In the order of the paper's table."""
    sampling = view.context.param("experiments.sampling")
    scales = {
        "low": float(view.block["guidance_scale"]),
        "high": float(sampling["guidance_scale"]),
    }
    printed = LITERATURE if view.paper.by_id else {}
    rows = [TableRow(id, label) for id, label in printed.items()]
    for id, (label, model, scale) in OURS.items():
        sampler = view.context.sampler(TEACHER)
        if scale is not None:
            sampler = Sampler("constant", scales[scale], sampling["steps"])
        label, rule = label.format(**scales), id == "min_snr"
        rows.append(TableRow(id, label, model, sampler=sampler, rule=rule))
    return rows


results_table(
    "table2",
    title="Teacher components",
    section=Section.TEACHER,
    experiment="table2",
    csv="table2_teacher_ablation.csv",
    keys=("method",),
    models=(TEACHER, MIN_SNR_TEACHER),
    samplers="table2",
    rows=_rows,
    columns=(Parameters(), STEPS, Quality()),
    corner="Teacher",
    caption="Teacher components.",
    notes=NOTES,
    claims=True,
)
