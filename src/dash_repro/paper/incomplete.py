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
from dash_repro.paper.table import Entry, Table, to_latex, to_sidecar
from dash_repro.paper.tables import TABLES
from runledger import Judge, Pipeline, Store, Verdict, failure, load_pipeline, nested
from runledger.errors import UserError

FOLDER = "results/incomplete"


class Missing:
    """Which instances are missing, and why, told by the failures noted on the way.

    Args:
        root: the checkout.
        pipeline, verdicts: its instances as judged now.
    """

    def __init__(
        self, root: Path, pipeline: Pipeline, verdicts: Mapping[str, Verdict]
    ) -> None:
        self.root, self.pipeline, self.verdicts = Path(root), pipeline, verdicts

    def reason(self, name: str) -> str:
        """Why an instance is missing: its own failure, or that of what it needs."""
        todo, seen = [name], set()
        while todo:
            here = todo.pop(0)
            if here in seen or self.verdicts[here].valid:
                continue
            seen.add(here)
            why = failure(self.root, here, self.verdicts[here].frozen_digest)
            if why is not None:
                return f"{here} failed: {why}"
            deps = self.verdicts[here].instance.deps
            todo += [self.pipeline.producer[d] for d in deps if d in self.producer]
        return "not made yet"

    @property
    def producer(self) -> Mapping[str, str]:
        """{path of a result: name of the instance that makes it}."""
        return self.pipeline.producer


def incomplete_table(
    root: Path, item: str, pipeline: Pipeline, verdicts: Mapping[str, Verdict]
) -> tuple[Table, dict[str, str]]:
    """Build one table from what is valid and here.

    Returns:
        the table, its absent cells saying why, and {missing instance: reason}.

    Raises:
        UserError: the table makes no sense without what is missing.
    """
    collect = pipeline[f"collect_results-{item}"]
    rows, missing = _rows(root, item, pipeline, verdicts)
    folder = Path(root) / FOLDER
    folder.mkdir(parents=True, exist_ok=True)
    write_rows(folder / f"{item}.csv", rows)
    instance = pipeline[f"make_table-{item}"]
    sources = {Path(d).name: root / d for d in instance.deps if d.startswith("paper/")}
    context = Context(
        item,
        read_rows(folder / f"{item}.csv"),
        pipeline.params["make_table"],
        pipeline.params["scale"],
        sources,
        allow_missing=True,
        absent=[(collect.item["members"][m], why) for m, why in missing.items()],
    )
    try:
        table = TABLES[item].table(context)
    except (LookupError, ValueError, ArithmeticError) as error:
        raise UserError(f"cannot do without: {error!r}", item, "") from error
    return _marked(table, missing), missing


def _rows(
    root: Path, item: str, pipeline: Pipeline, verdicts: Mapping[str, Verdict]
) -> tuple[list[Row], dict[str, str]]:
    """The rows that collect_results would gather, of what there is."""
    collect = pipeline[f"collect_results-{item}"]
    store, why = Store(root), Missing(root, pipeline, verdicts)
    files: list[tuple[str, Path]] = []
    missing: dict[str, str] = {}
    for dep in collect.deps:
        maker = pipeline.producer.get(dep, "")
        member = "/".join(dep.split("/")[1:3])
        if member not in collect.item["members"]:
            continue
        if not verdicts[maker].valid:
            missing[member] = why.reason(maker)
        elif not (root / dep).exists() and not _bring(
            store, root, dep, verdicts[maker]
        ):
            missing[member] = "its file is not here: make pull"
        else:
            files.append((member, root / dep))
    params = nested(pipeline.named_params(collect))
    return gather(collect.item, params, files), missing


def _bring(store: Store, root: Path, path: str, verdict: Verdict) -> bool:
    """Put a valid file in place from its record or the cache."""
    out = verdict.record.outputs[path]
    if "inline" in out:
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(out["inline"], encoding="utf-8")
        return True
    return store.restore(out["md5"], root / path)


def _marked(table: Table, missing: Mapping[str, str]) -> Table:
    """Say in caption and notes that a table is incomplete."""
    if not missing:
        return table
    reasons: dict[str, list[str]] = {}
    for member, why in missing.items():
        reasons.setdefault(why, []).append(member)
    notes = [f"Missing ({why}): {', '.join(m)}." for why, m in reasons.items()]
    lines = tuple(
        replace(line, entries=tuple(_shown(entry) for entry in line.entries))
        for line in table.lines
    )
    caption = f"INCOMPLETE: {len(missing)} results are missing. {table.caption}"
    return replace(table, caption=caption, notes=(*table.notes, *notes), lines=lines)


def _shown(entry: Entry) -> Entry:
    return replace(entry, cells=tuple(_failed(cell) for cell in entry.cells))


def _failed(cell: Cell) -> Cell:
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
