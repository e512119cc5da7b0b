"""The DAG at the level of stages, as inline SVG: what made what, and what it cost."""

from __future__ import annotations

import html
from collections.abc import Collection
from dataclasses import dataclass

from runledger.audit.chain import Chain
from runledger.audit.costs import costs_by_stage
from runledger.pipeline import CODE_STAGE

WIDE, HIGH, GAP, RISE = 200, 62, 26, 46
SOUND, BAD = "#eef3f8", "#fde4e4"


@dataclass(frozen=True)
class Stage:
    """One stage: its runs, how many are valid, their time, and if none is in doubt."""

    name: str
    runs: int
    valid: int
    time: str
    sound: bool


def stages(
    chain: Chain, doubt: Collection[str] = ()
) -> tuple[dict[str, Stage], set[tuple[str, str]]]:
    """Stages in the pipeline's order, and (maker, reader) pairs.

    Args:
        chain: the checkout.
        doubt: names of instances that something was found against.
    """
    names: dict[str, list[str]] = {}
    edges: set[tuple[str, str]] = set()
    for name in chain.instances:
        instance = chain.verdicts[name].instance
        names.setdefault(instance.stage, []).append(name)
        for dep in instance.deps:
            maker = chain.pipeline.producer.get(dep)
            stage = chain.verdicts[maker].instance.stage if maker else CODE_STAGE
            if stage not in (CODE_STAGE, instance.stage):
                edges.add((stage, instance.stage))
    spent, found = costs_by_stage(chain), {}
    for stage, members in names.items():
        valid = sum(chain.verdicts[name].valid for name in members)
        sound = valid == len(members) and not set(doubt) & set(members)
        time = spent[stage].text.partition(",")[0]
        found[stage] = Stage(stage, len(members), valid, time, sound)
    return found, edges


def layers(names: list[str], edges: set[tuple[str, str]]) -> list[list[str]]:
    """Stages by the longest way from a source; neighbours under their makers."""
    depth: dict[str, int] = {}

    def level(name: str) -> int:
        if name not in depth:
            makers = [maker for maker, reader in edges if reader == name]
            depth[name] = 1 + max((level(maker) for maker in makers), default=-1)
        return depth[name]

    depths = map(level, names)
    rows: list[list[str]] = [[] for _ in range(1 + max(depths, default=-1))]
    for name in names:
        rows[depth[name]].append(name)
    place: dict[str, float] = {}
    for row in rows:

        def centre(name: str) -> float:
            at = [place[maker] for maker, reader in edges if reader == name]
            return sum(at) / len(at) if at else 0.0

        row.sort(key=centre)
        for index, name in enumerate(row):
            place[name] = index - (len(row) - 1) / 2
    return rows


def direct(edges: set[tuple[str, str]]) -> set[tuple[str, str]]:
    """Edges that do not follow from others, so that the picture stays readable."""

    def reach(start: str, end: str, skip: tuple[str, str] | None) -> bool:
        return start == end or any(
            reach(reader, end, None)
            for maker, reader in edges
            if maker == start and (maker, reader) != skip
        )

    return {edge for edge in edges if not reach(*edge, edge)}


def draw_stages(chain: Chain, doubt: Collection[str] = ()) -> str:
    """The picture as an <svg>, with a description for those who do not see it.

    A box is red if an instance of its stage is not valid or is in doubt.

    Args:
        chain: the checkout.
        doubt: names of instances that something was found against.
    """
    found, edges = stages(chain, doubt)
    rows = layers(list(found), edges)
    width = max(map(len, rows), default=0) * (WIDE + GAP) + GAP
    height = len(rows) * (HIGH + RISE) - RISE + 8
    at: dict[str, tuple[float, float]] = {}
    for level, row in enumerate(rows):
        left = (width - len(row) * (WIDE + GAP) + GAP) / 2
        for index, name in enumerate(row):
            at[name] = left + index * (WIDE + GAP), 4 + level * (HIGH + RISE)
    lines = [_edge(at[maker], at[reader]) for maker, reader in sorted(direct(edges))]
    boxes = [_box(found[name], *at[name]) for name in at]
    said = "; ".join(f"{maker} feeds {reader}" for maker, reader in sorted(edges))
    return (
        f'<svg class="dag" viewBox="0 0 {width} {height}" role="img" '
        'aria-labelledby="dag-title dag-text" xmlns="http://www.w3.org/2000/svg">'
        '<title id="dag-title">Stages and what they read</title>'
        f'<desc id="dag-text">{html.escape(said)}</desc>'
        '<defs><marker id="tip" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" '
        'markerHeight="7" orient="auto"><path d="M0 0L8 4L0 8z" fill="#77808e"/>'
        f"</marker></defs>{''.join(lines)}{''.join(boxes)}</svg>"
    )


def _edge(start: tuple[float, float], end: tuple[float, float]) -> str:
    x0, y0 = start[0] + WIDE / 2, start[1] + HIGH
    x1, y1 = end[0] + WIDE / 2, end[1] - 2
    bend = max(24.0, (y1 - y0) / 2)
    far = y1 - y0 > RISE + 4  # round a box that lies between
    side = (WIDE * 0.62 if x1 >= x0 else -WIDE * 0.62) if far else 0
    return (
        f'<path d="M{x0:.0f} {y0:.0f}C{x0 + side:.0f} {y0 + bend:.0f} '
        f'{x1 + side:.0f} {y1 - bend:.0f} {x1:.0f} {y1:.0f}" fill="none" '
        'stroke="#9aa3b0" stroke-width="1.5" marker-end="url(#tip)"/>'
    )


def _box(stage: Stage, x: float, y: float) -> str:
    middle = x + WIDE / 2
    fill = SOUND if stage.sound else BAD
    name = html.escape(stage.name)
    return (
        f'<g><rect x="{x:.0f}" y="{y:.0f}" width="{WIDE}" height="{HIGH}" rx="9" '
        f'fill="{fill}" stroke="#b8c0cc"/>'
        f'<text x="{middle:.0f}" y="{y + 25:.0f}" text-anchor="middle" '
        f'font-size="17" font-weight="600" fill="#1d2330">{name}</text>'
        f'<text x="{middle:.0f}" y="{y + 47:.0f}" text-anchor="middle" '
        f'font-size="14" fill="#47505f">{_counts(stage)} · {stage.time}</text></g>'
    )


def _counts(stage: Stage) -> str:
    if stage.valid == stage.runs:
        return f"{stage.runs} valid"
    return f"{stage.valid} of {stage.runs} valid"
