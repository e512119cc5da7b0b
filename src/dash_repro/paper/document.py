"""The whole paper as one HTML page; as a PDF it is in `pdf`."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from dash_repro.arrays import read_json
from dash_repro.paper.items import ITEMS
from dash_repro.paper.table import name_of, to_page
from runledger.errors import UserError

SECTIONS: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("What is compared", ("table1", "figure1", "figure2", "figure3")),
    ("Teacher", ("table2", "figure4a", "figure4b", "figure4c")),
    ("Students", ("table3", "table4", "figure5a", "figure5b", "figure5c")),
    ("Samples", ("figure6", "figure7")),
    ("Claims of the text", ("claims",)),
    ("Appendix A: settings", ("tableA1", "tableA2", "anchor")),
    ("Appendix B: spread over seeds", ("tableB3", "tableB4")),
    ("Appendix C: steps, width, guidance", ("tableC5", "tableC6", "tableC7")),
    ("Appendix D: samples", tuple(f"figureD{index}" for index in range(1, 8))),
    ("Supplement: what the paper does not show", ("tableS1", "figureS1", "figureS2")),
)


def build_page(tables: Sequence[Path], figures: Sequence[Path], scale: str) -> str:
    """One self-contained HTML page with every table and figure, in the paper's order.

    Args:
        tables: sidecar JSON files of make_table.
        figures: .png files of plot_figure.
        scale: "paper" or "demo".

    Raises:
        UserError: a file of an item that no section shows.
    """
    sidecars = {path.stem: read_json(path) for path in tables}
    pictures = {path.stem: path for path in figures}
    shown = [item for _, items in SECTIONS for item in items]
    lost = sorted((set(sidecars) | set(pictures)) - set(shown))
    if lost:
        raise UserError(
            f"no section shows {lost}",
            "dash_repro.paper.document.SECTIONS",
            "add them to a section",
        )
    parts = [_section(title, items, sidecars, pictures) for title, items in SECTIONS]
    mark = "" if scale == "paper" else f"<p class='demo'>{DEMO}</p>"
    return PAGE.format(mark=mark, body="\n".join(parts))


def _section(
    title: str,
    items: Sequence[str],
    sidecars: Mapping[str, Any],
    pictures: Mapping[str, Path],
) -> str:
    parts = []
    for item in items:
        if item in sidecars:
            parts.append(to_page(sidecars[item]))
        elif item in pictures:
            parts.append(_picture(item, pictures[item]))
    return f"<h2>{title}</h2>\n<div class='items'>{''.join(parts)}</div>"


def _picture(item: str, path: Path) -> str:
    data = base64.b64encode(path.read_bytes()).decode("ascii")
    title = f"{name_of(item)}. {ITEMS[item].title}"
    panel = " class='panel'" if item[:7] in ("figure4", "figure5") else ""
    return (
        f"<figure id='{item}'{panel}><img alt='{title}' "
        f"src='data:image/png;base64,{data}'>"
        f"<figcaption><b>{name_of(item)}.</b> {ITEMS[item].title}</figcaption></figure>"
    )


DEMO = (
    "Demo: a small run on other data or settings. It shows that the pipeline works; "
    "its numbers say nothing about the paper."
)
PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Dual-branch score distillation, reproduced</title>
<style>
body {{ font: 16px/1.5 Georgia, serif; color: #222; background: #fff; margin: 0 auto;
  max-width: 68rem; padding: 1rem; }}
h1 {{ font-size: 1.6rem; }} h2 {{ margin-top: 2.5rem; border-bottom: 1px solid #ccc; }}
.demo {{ color: #b00020; border-left: 4px solid #b00020; padding: .3rem .8rem; }}
section {{ margin: 1.8rem 0; break-inside: avoid; }} .scroll {{ overflow-x: auto; }}
table {{ border-collapse: collapse; font-size: .85rem; border-top: 2px solid #222;
  border-bottom: 2px solid #222; font-variant-numeric: tabular-nums; }}
caption {{ text-align: left; padding-bottom: .4rem; font-size: .95rem; }}
thead {{ border-bottom: 1px solid #222; }}
th, td {{ padding: .2rem .5rem; text-align: center; vertical-align: top;
  white-space: nowrap; }} #claims th, #claims td {{ white-space: normal; }}
tbody th, thead th:first-child {{ text-align: left; font-weight: normal; }}
tbody th {{ max-width: 32rem; }}
tr.rule > * {{ border-top: 1px solid #222; }} th.part {{ font-style: italic; }}
td:target {{ background: #fff2b3; }} .note {{ font-size: .8rem; color: #555;
  margin: .2rem 0; }}
figure {{ margin: 1.5rem 0; break-inside: avoid; }} figure img {{ max-width: 100%; }}
.items {{ display: flow-root; }}
figure.panel {{ display: inline-block; width: 32%; min-width: 17rem; margin: .3%; }}
figcaption {{ font-size: .9rem; }}
@media print {{ body {{ max-width: none; }} .scroll {{ overflow: visible; }}
  table {{ font-size: .65rem; }} }}
</style></head><body>
<h1>Dual-branch score distillation, reproduced</h1>
{mark}
<p>Every table and figure of <i>DASH: Dual-Branch Score Distillation for
Guidance-Calibrated Compact Diffusion Models</i> (arXiv:2606.00798v1), regenerated by
this pipeline. Columns are named for the metric that was computed; hovering over a
number shows its address and the paper’s value.</p>
{body}
</body></html>
"""
