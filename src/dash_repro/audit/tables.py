"""Every table cell recomputed from raw results and compared with what is printed."""

from __future__ import annotations

import itertools
from collections import defaultdict
from collections.abc import Iterator, Mapping
from fractions import Fraction

from dash_repro.audit import exact, latex
from dash_repro.audit.evidence import Evidence, Json, Numbers, both_sides, objection
from dash_repro.audit.expected import Expected
from dash_repro.audit.interval import check_interval, digits
from dash_repro.audit.printed import check_paper
from runledger.audit import OBJECTION, UNCHECKED, Finding


def check_tables(evidence: Evidence) -> Iterator[Finding]:
    """All tables: numbers, seeds, .tex, collected rows, the paper's values."""
    for item in evidence.tables:
        where = f"results/tables/{item}"
        sidecar = evidence.sidecars.get(item)
        tex = evidence.text(f"{where}.tex", f"make_table-{item}")
        if sidecar is None or tex is None:
            detail = "the table is not there: make tables"
            owner = (f"make_table-{item}",)
            yield Finding(OBJECTION, "missing table", where, detail, owner)
            continue
        yield from check_tex(item, sidecar, tex)
        for address, cell in sidecar["cells"].items():
            for kind, detail in check_cell(evidence, address, cell):
                yield objection(kind, address, detail)
        yield from check_units(item, sidecar)
        yield from check_names(item, sidecar)
        yield from check_collected(evidence, item, sidecar)
        yield from check_paper(evidence, item, sidecar)


def check_tex(item: str, sidecar: Json, tex: str) -> Iterator[Finding]:
    """Box by box: what the .tex prints is what the sidecar says."""
    path, found = f"results/tables/{item}.tex", latex.rows(tex)
    heads, wanted = latex.heading_rows(sidecar), latex.wanted_rows(sidecar)
    everything = tuple(sidecar["cells"])

    def wrong(detail: str, cells: tuple[str, ...]) -> Finding:
        return Finding(OBJECTION, "edited .tex", path, detail, cells=cells)

    body = found[len(found) - len(wanted) :]
    top = found[: len(found) - len(wanted)]
    if top not in (heads, heads * 2):
        yield wrong(f"its heading or number of rows: {top}", everything)
    wanted_caption = latex.plain_text(f"{sidecar['name']}. {sidecar['caption']}")
    if latex.caption(tex) != wanted_caption:
        yield wrong("its caption is not the sidecar's", everything)
    for note in sidecar["notes"]:
        if latex.plain_text(note) not in latex.plain_tex(tex.replace("\n", " ")):
            yield wrong(f"lacks the note {note[:60]!r}", everything)
    for boxes, (row, texts, addresses) in zip(body, wanted, strict=False):
        if len(boxes) != len(texts):
            cells = tuple(a for group in addresses for a in group)
            yield wrong(f"row {row} has {len(boxes)} boxes", cells)
            continue
        for box, text, cells in zip(boxes, texts, addresses, strict=True):
            if box != text:
                detail = f"row {row} prints {box!r}, not {text!r}"
                yield wrong(detail, tuple(cells or itertools.chain(*addresses)))
    for line in sidecar["lines"]:
        for entry in line["entries"]:
            cells = [sidecar["cells"][a] for a in entry["cells"]]
            shown = [cell["displayed"] + cell.get("mark", "") for cell in cells]
            if entry["joiner"].join(shown) != entry["text"]:
                detail = f"box {entry['text']!r} is not its cells {shown}"
                yield wrong(detail, tuple(entry["cells"]))


def check_cell(
    evidence: Evidence, address: str, cell: Json
) -> Iterator[tuple[str, str]]:
    """(kind, detail) of whatever is wrong with one cell's number."""
    expected = evidence.expectations.expected_for(address)
    wanted = evidence.mark(expected) if cell["kind"] == "measured" else ""
    if cell.get("mark", "") != wanted:
        yield "wrong mark", f"marked {cell.get('mark', '')!r}, not {wanted!r}"
    if expected is None:
        if cell["kind"] == "measured":
            yield "unexplained number", "no measurement belongs in this place"
        elif cell["values"]:
            yield "unexplained number", "has raw values without being measured"
        elif address.startswith(TEACHER_ROWS) and cell["kind"] == "definition":
            yield from _definition(evidence, address, cell)
        return
    first, second = both_sides(evidence, expected)
    unit = cell["exponent"]
    if cell["kind"] != "measured":
        if cell["kind"] != "dash":
            yield "typed number", f"{cell['displayed']!r} is not a measurement"
        elif not may_be_dash(evidence, address, expected, first, second):
            yield "hidden number", f"a dash ({cell['note']}) where runs gave a value"
        return
    if evidence.expectations.unsupported(expected):
        yield "unsupported number", "a score of fewer than 10,000 samples"
    yield from _seeds(evidence, expected, cell)
    yield from _values(cell, first, second)
    ddof = evidence.params["make_table"]["ddof"]
    exponent = unit if expected.exponent is None else expected.exponent
    rules = {
        "statistic": ("expected", expected.statistic),
        "decimals": ("expected", digits(expected, first, second, unit, ddof)),
        "ddof": ("params.yaml says", ddof),
        "exponent": ("expected", exponent),
    }
    for key, (said, wanted) in rules.items():
        if cell[key] != wanted:
            yield "other rule", f"{key} {cell[key]}, {said} {wanted}"
    yield from check_interval(expected, first, second, cell)
    text = recomputed(evidence, expected, first, second, unit)
    if text != cell["displayed"]:
        yield "wrong number", f"prints {cell['displayed']}, the raw values give {text}"


TEACHER_ROWS = ("table3/teacher/", "tableC6/teacher_")


def _definition(
    evidence: Evidence, address: str, cell: Json
) -> Iterator[tuple[str, str]]:
    """The teacher against itself: 1, 1 and 0, with the column's digits."""
    settings = evidence.params["make_table"]
    gap = address.endswith("_gap_mse")
    decimals = settings["gap_decimals" if gap else "calibration_decimals"]
    text = exact.rounded(Fraction(0 if gap else 1), decimals)
    if cell["displayed"] != text:
        yield "wrong number", f"prints {cell['displayed']}, by definition {text}"


def recomputed(
    evidence: Evidence, expected: Expected, first: Numbers, second: Numbers, unit: int
) -> str:
    """The digits that raw values give, times ten to the unit; or why they give none."""
    ddof = evidence.params["make_table"]["ddof"]
    try:
        return exact.printed(
            expected.statistic,
            [value.seeded for value in first],
            [value.seeded for value in second],
            digits(expected, first, second, unit, ddof),
            ddof,
            unit,
        )
    except ValueError as error:
        return f"nothing ({error})"


def may_be_dash(
    evidence: Evidence,
    address: str,
    expected: Expected,
    first: Numbers,
    second: Numbers,
) -> bool:
    """Whether the rules of the paper leave this box without a number."""
    column = address.split("/")[2]
    if not first or (expected.second is not None and not second):
        return True
    if evidence.expectations.unsupported(expected):
        return True
    if expected.statistic in exact.SPREADS:
        seeded = [value.seeded for value in first]
        return not exact.spread_groups(seeded, expected.statistic)
    if expected.first.stage != "measure_calibration":
        return False
    student = expected.first.identity["student"]
    if student == "scratch" or evidence.expectations.one_branch(student):
        return True
    if not column.endswith("_cos") or column.endswith("_err_cos"):
        return False
    rho = evidence.expectations.expected_for(address.removesuffix("cos") + "rho")
    numbers = evidence.numbers(rho.first) if rho else []
    limit = evidence.params["measure_calibration"]["cos_undefined_below"]
    return exact.average([v.seeded for v in numbers]) < Fraction(repr(limit))


def _seeds(
    evidence: Evidence, expected: Expected, cell: Json
) -> Iterator[tuple[str, str]]:
    """The values are those of the planned runs: none missing, none of another."""
    for source, role in zip(expected.sources, ("", "second"), strict=False):
        wanted = {id for id, _ in evidence.planned(source)}
        found = [v for v in cell["values"] if v["role"] == role]
        ids = [v["instance"] for v in found]
        parts = [(v["instance"], v["sampling_seed"]) for v in found]
        if len(set(parts)) < len(parts):
            yield "seed counted twice", ", ".join(ids)
        if missing := sorted(wanted - set(ids)):
            yield "missing seed", f"planned and not in the cell: {', '.join(missing)}"
        if foreign := sorted(set(ids) - wanted):
            yield "foreign run", f"not a run of this cell: {', '.join(foreign)}"
        plans = len(source.seeds) * max(1, len(source.sampling_seeds)) or 1
        if len(wanted) != plans:
            yield "missing seed", f"{len(wanted)} instances for {plans} planned seeds"


def _values(cell: Json, first: Numbers, second: Numbers) -> Iterator[tuple[str, str]]:
    """The values in the sidecar are those of the raw files, text by text."""
    raw = {("", v.instance, v.sampling_seed): v for v in first}
    raw |= {("second", v.instance, v.sampling_seed): v for v in second}
    here = {(v["role"], v["instance"], v["sampling_seed"]) for v in cell["values"]}
    runs = {key[:2] for key in here}
    if absent := [key[1:] for key in raw if key not in here and key[:2] in runs]:
        yield "missing seed", f"in the raw files and not in the cell: {absent}"
    for value in cell["values"]:
        known = raw.get((value["role"], value["instance"], value["sampling_seed"]))
        where = f"{value['stage']}/{value['instance']}"
        if known is None:
            if (value["role"], value["instance"]) in {key[:2] for key in raw}:
                yield "wrong raw value", f"{where}: another sampling seed is named"
            continue
        if value["error"] != known.error:
            detail = f"{where}: error {value['error']}, its file says {known.error}"
            yield "wrong raw value", detail
        if value["number"] != known.text:
            detail = f"{where}: {value['number']}, its raw file says {known.text}"
            yield "wrong raw value", detail
        if value["seed"] != known.seed and known.seed:
            yield "wrong raw value", f"{where}: another seed is named"
    for key in ("n", "extractor"):
        recorded = {getattr(v, key) for v in first}
        if first and cell[key] and {cell[key]} != recorded:
            yield "wrong raw value", f"{key} {cell[key]}, the raw files say {recorded}"


UNITS = {"gap MSE": "_gap_mse", "KID": "_kid"}  # word of the heading: of the column


def check_units(item: str, sidecar: Json) -> Iterator[Finding]:
    """A column printed in thousandths says so, and is so in every row."""
    for word, end in UNITS.items():
        cells = {
            address: cell
            for address, cell in sidecar["cells"].items()
            if cell["kind"] == "measured" and address.endswith(end)
        }
        found = {cell["exponent"] for cell in cells.values()}
        if not found:
            continue
        power, heads = max(found), [h for h in sidecar["header"] if word in h]
        named = {f"10^{{−{power}}}" in head for head in heads}
        if len(found) > 1 or named - {power != 0} or not _fits(word, power, cells):
            detail = f"{word} in units of 10^-{sorted(found)}, heading {heads!r}"
            yield Finding(OBJECTION, "wrong unit", item, detail, cells=tuple(cells))


def _fits(word: str, power: int, cells: Mapping[str, Json]) -> bool:
    """Whether networks' KID is in thousandths where that has four digits at most."""
    trained = [c for c in cells.values() if c["metric"] == "kid"]
    numbers = [abs(float(v["number"])) for c in trained for v in c["values"]]
    if word != "KID" or not numbers:
        return True
    return power == (3 if max(numbers) < 1 else 0) or 1 <= max(numbers) < 10


def check_names(item: str, sidecar: Json) -> Iterator[Finding]:
    """Nothing is called FID or IS that is not."""
    names = {
        cell["name"]
        for cell in sidecar["cells"].values()
        if cell["kind"] == "measured"
        and cell["metric"] in ("frechet", "inception_score")
    }
    words = {w for head in sidecar["header"] for w in head.split()}
    for wrong in sorted({"FID", "IS"} & words - names):
        if names:
            detail = f"a heading says {wrong}, the raw files say {sorted(names)}"
            cells = tuple(sidecar["cells"])
            yield Finding(OBJECTION, "wrong name", item, detail, cells=cells)


def check_collected(evidence: Evidence, item: str, sidecar: Json) -> Iterator[Finding]:
    """The CSV between raw files and table holds the same numbers, each once."""
    rows = evidence.collected(item)
    if rows is None:
        path = f"results/collect_results/{item}.csv"
        if not (evidence.root / path).exists():
            detail = "not here; the raw files were compared with the table directly"
            yield Finding(UNCHECKED, "collected rows", path, detail)
        return
    found: dict[tuple[str, ...], list[str]] = defaultdict(list)
    for row in rows:
        metric = row["name"] if row["metric"] == "profile" else row["metric"]
        key = (row["stage"], row["instance"], metric, row["sampling_seed"])
        found[key].append(row["value"])
    for address, cell in sidecar["cells"].items():
        expected = evidence.expectations.expected_for(address)
        if cell["kind"] != "measured" or expected is None:
            continue
        for value in cell["values"]:
            source = expected.sources[1 if value["role"] else 0]
            place = (value["stage"], value["instance"])
            key = (*place, source.metric, value["sampling_seed"])
            if found[key] != [value["number"]]:
                detail = f"{key}: {found[key]} in the CSV, {value['number']} here"
                yield objection("collected rows", address, detail)
