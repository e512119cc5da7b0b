"""Tables of what there is, marked incomplete, while some instances are missing.

Only on request (``snakemake incomplete_tables``); written beside the results, never
among them: no record names these files and the paper does not read them.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from dash_repro.arrays import write_json
from dash_repro.paper.aggregate import Cell
from dash_repro.paper.collect import gather
from dash_repro.paper.context import Context
from dash_repro.paper.registry import in_order
from dash_repro.paper.rows import Row, read_rows, write_rows
from dash_repro.paper.table import Table, to_latex, to_sidecar
from dash_repro.paper.tables import TABLES
from runledger import Judge, Pipeline, Store, Verdict, failure, load_pipeline, nested
from runledger.errors import UserError

FOLDER = "results/incomplete"


Verdicts = Mapping[str, Verdict]


def _why_missing(
    root: Path, pipeline: Pipeline, verdicts: Verdicts, instance: str
) -> str:
    """An instance's own noted failure, or that of what it needs."""
    todo, seen = [instance], set()
    while todo:
        name = todo.pop(0)
        verdict = verdicts[name]
        if name in seen or verdict.valid:
            continue
        seen.add(name)
        why = failure(root, name, verdict.frozen_digest)
        if why is not None:
            return f"{name} failed: {why}"
        made_by = map(pipeline.producer.get, verdict.instance.deps)
        todo += [maker for maker in made_by if maker]
    return "not made yet"


def incomplete_table(
    root: Path, item: str, pipeline: Pipeline, verdicts: Verdicts
) -> tuple[Table, dict[str, str]]:
    """Build one table from what is valid and here.

    Returns:
        the table, its absent cells saying why, and {missing instance: reason}.

    Raises:
        UserError: the table makes no sense without what is missing.
    """
    members = pipeline[f"collect_results-{item}"].item["members"]
    rows, missing = _rows(root, item, pipeline, verdicts)
    path = root / FOLDER / f"{item}.csv"
    path.parent.mkdir(parents=True, exist_ok=True)
    write_rows(path, rows)
    deps = pipeline[f"make_table-{item}"].deps
    context = Context(
        item,
        read_rows(path),
        pipeline.params["make_table"],
        pipeline.params["scale"],
        {Path(dep).name: root / dep for dep in deps if dep.startswith("paper/")},
        allow_missing=True,
        absent=[(members[member], why) for member, why in missing.items()],
    )
    try:
        table = TABLES[item].table(context)
    except (LookupError, ValueError, ArithmeticError) as error:
        raise UserError(f"cannot do without: {error!r}", item, "") from error
    return _marked(table, missing) if missing else table, missing


def _rows(
    root: Path, item: str, pipeline: Pipeline, verdicts: Verdicts
) -> tuple[list[Row], dict[str, str]]:
    """The rows that collect_results would gather, of what there is."""
    collect, store = pipeline[f"collect_results-{item}"], Store(root)
    files: list[tuple[str, Path]] = []
    missing: dict[str, str] = {}
    for dep in collect.deps:
        member = "/".join(dep.split("/")[1:3])
        if member not in collect.item["members"]:
            continue
        maker = pipeline.producer[dep]
        if not verdicts[maker].valid:
            missing[member] = _why_missing(root, pipeline, verdicts, maker)
        elif (root / dep).exists() or _restored(store, root, dep, verdicts[maker]):
            files.append((member, root / dep))
        else:
            missing[member] = "its file is not here: make pull"
    params = nested(pipeline.named_params(collect))
    return gather(collect.item, params, files), missing


def _restored(store: Store, root: Path, path: str, verdict: Verdict) -> bool:
    """Put a valid file in place from its record or the cache."""
    out = verdict.record.outputs[path]
    if "inline" in out:
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(out["inline"], encoding="utf-8")
        return True
    return store.restore(out["md5"], root / path)


def _marked(table: Table, missing: Mapping[str, str]) -> Table:
    """Say in caption, notes and cells that a table is incomplete."""
    reasons: dict[str, list[str]] = {}
    for member, why in missing.items():
        reasons.setdefault(why, []).append(member)
    notes = [f"Missing ({why}): {', '.join(m)}." for why, m in reasons.items()]
    lines = []
    for line in table.lines:
        cells = [tuple(map(_marked_cell, entry.cells)) for entry in line.entries]
        pairs = zip(line.entries, cells, strict=True)
        entries = tuple(replace(entry, cells=marked) for entry, marked in pairs)
        lines.append(replace(line, entries=entries))
    caption = f"INCOMPLETE: {len(missing)} results are missing. {table.caption}"
    notes = (*table.notes, *notes)
    return replace(table, caption=caption, notes=notes, lines=tuple(lines))


def _marked_cell(cell: Cell) -> Cell:
    """A cell that says it failed, where its note says so."""
    if cell.note.startswith("missing"):
        failed = " failed: " in cell.note
        return replace(cell, displayed="failed" if failed else "missing")
    if "; missing" in cell.note:
        return replace(cell, displayed=f"{cell.displayed}*")
    return cell


def main(root: Path) -> int:
    """Write all tables that can be built; returns the exit status."""
    pipeline = load_pipeline(root)
    verdicts = Judge(root, pipeline).judge()
    for item in in_order(TABLES):
        if f"make_table-{item}" not in pipeline.instances:
            continue
        try:
            table, missing = incomplete_table(root, item, pipeline, verdicts)
        except UserError as error:
            print(f"{item}: not possible, it {error.what}")
            continue
        path = root / FOLDER / f"{item}.tex"
        path.write_text(to_latex(table), encoding="utf-8")
        content = {**to_sidecar(table), "incomplete": bool(missing), "missing": missing}
        write_json(path.with_suffix(".json"), content)
        state = f"INCOMPLETE, {len(missing)} missing" if missing else "complete"
        print(f"{path.relative_to(root)}: {state}")
        for member, why in missing.items():
            print(f"  {member}: {why}")
    return 0


if __name__ == "__main__":
    sys.exit(main(Path.cwd()))
