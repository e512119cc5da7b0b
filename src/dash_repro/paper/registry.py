"""Where the tables and figures of the paper register, each from its own module.

What others must know of an item stands in its ItemSpec: the plan, the pages, the
README's list and the report read it there. Imports nothing heavy: the Snakefile reads
this while it is parsed.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Any, ClassVar

from dash_repro.paper.context import Context, PaperTable
from dash_repro.paper.needs import Need
from runledger.errors import UserError
from runledger.plugins import Registry

if TYPE_CHECKING:
    from dash_repro.paper.table import Table

CSV_FOLDER = "paper/tables/"


class Section(Enum):
    """Sections of the paper, in its order."""

    COMPARED = "What is compared"
    TEACHER = "Teacher"
    STUDENTS = "Students"
    SAMPLES = "Samples"
    CLAIMS = "Claims of the text"
    APPENDIX_A = "Appendix A: settings"
    APPENDIX_B = "Appendix B: spread over seeds"
    APPENDIX_C = "Appendix C: steps, width, guidance"
    APPENDIX_D = "Appendix D: samples"
    SUPPLEMENT = "Supplement: what the paper does not show"


BY_LETTER = {
    "A": Section.APPENDIX_A,
    "B": Section.APPENDIX_B,
    "C": Section.APPENDIX_C,
    "D": Section.APPENDIX_D,
    "S": Section.SUPPLEMENT,
}


@dataclass(frozen=True, kw_only=True)
class ItemSpec:
    """What every table and figure says of itself.

    Attributes:
        name: its target and the stem of its files.
        title: short name, for lists and logs.
        section: of the paper and of the pages; tables come first, then by name. By
            default that of the letter in the label: Table A1 is in Appendix A.
        needs: instances that are collected for it.
        params: dotted keys of params.yaml that are recorded with what is collected.
        derived: curves that follow from params alone (dash_repro.paper.collect).
        about_paper: it is about what the paper says or claims; a run on own data
            does not make it.
        label: printed name; by default "Table 3" for table3, "Figure S1" for figureS1.
    """

    name: str
    title: str
    section: Section | None = None
    needs: tuple[Need, ...] = ()
    params: tuple[str, ...] = ()
    derived: tuple[str, ...] = ()
    about_paper: bool = False
    label: str = ""

    kind: ClassVar[str]
    sources: ClassVar[tuple[str, ...]] = ()
    images: ClassVar[bool] = False

    def __post_init__(self) -> None:
        if not self.label:
            kind, _, number = self.name.partition(self.kind)
            label = f"{self.kind.capitalize()} {number}" if not kind else self.name
            object.__setattr__(self, "label", label)
        if self.section is None:
            letter, *number = self.label.split()[-1]
            if letter not in BY_LETTER or not "".join(number).isdigit():
                raise UserError(
                    f"{self.name} has no section",
                    "dash_repro.paper",
                    f"name one of {', '.join(map(str, Section))}",
                )
            object.__setattr__(self, "section", BY_LETTER[letter])

    def collects(self, needs: Iterable[Need], params: Iterable[str]) -> None:
        """Set what follows from the parts of an item, each once."""
        object.__setattr__(self, "needs", tuple(dict.fromkeys(needs)))
        object.__setattr__(self, "params", tuple(dict.fromkeys(params)))

    @property
    def experiments(self) -> set[str]:
        """Blocks of `experiments` that it is made from."""
        prefix = "experiments."
        named = {k.removeprefix(prefix) for k in self.params if k.startswith(prefix)}
        return named | {need.experiment for need in self.needs}

    @property
    def order(self) -> tuple[Any, ...]:
        """Its place in the paper: section, tables first, then the printed name."""
        sections = list(Section)
        number = [int(p) if p.isdigit() else p for p in re.split(r"(\d+)", self.label)]
        return sections.index(self.section), self.kind == "figure", number


@dataclass(frozen=True, kw_only=True)
class TableSpec(ItemSpec):
    """A table.

    Attributes:
        build: lays it out from its collected rows and the paper's values.
        csv: the paper's values, in paper/tables; "" if it prints none.
        keys: columns of the CSV that name its rows, joined by underscores.
        claims: the claims of the text read its cells.
    """

    build: Callable[[Context, PaperTable], Table] | None = None
    csv: str = ""
    keys: tuple[str, ...] = ()
    claims: bool = False

    kind: ClassVar[str] = "table"

    def table(self, context: Context) -> Table:
        """Build the table from its collected rows."""
        return self.build(context, self.paper(context))

    def paper(self, context: Context) -> PaperTable:
        """The paper's values; none for own data, and for what it does not print."""
        if not self.csv or context.scale == "own":
            return PaperTable({})
        return PaperTable.load(context.sources[self.csv], *self.keys)

    @property
    def sources(self) -> tuple[str, ...]:
        """Files in git that make_table reads."""
        return (CSV_FOLDER + self.csv,) if self.csv else ()


@dataclass(frozen=True, kw_only=True)
class FigureSpec(ItemSpec):
    """A figure.

    Attributes:
        draw: draws it, from collected rows or images and a style.
        caption: what it shows, in the notation of dash_repro.paper.markup; whose
            numbers these are stands behind it (dash_repro.paper.figures.caption).
        share: of the text's width, in the PDF; panels of one figure stand in a row.
        wide: it needs the whole width of a page.
        diagram: it shows no measurement and is the same at every scale.
        layout: "grid ROWSxCOLUMNS", "classes", "pairs" or "closest" of generated
            images, which collect_images picks; "": it is drawn from numbers.
    """

    draw: Callable[[Any, Any], Any]
    caption: str
    share: float = 1.0
    wide: bool = False
    diagram: bool = False
    layout: str = ""

    kind: ClassVar[str] = "figure"

    @property
    def images(self) -> bool:
        """Whether collect_images collects for it, and not collect_results."""
        return bool(self.layout)

    @property
    def in_grid(self) -> int:
        """Images in one grid of its layout; 0 without a grid."""
        rows, _, columns = self.layout.removeprefix("grid ").partition("x")
        return int(rows) * int(columns) if columns else 0

    @property
    def panel(self) -> str:
        """Its letter, where several items make up one figure: figure4a gives a."""
        return self.label[-1] if self.label[-1].islower() else ""


TABLES: dict[str, TableSpec] = {}
FIGURES: dict[str, FigureSpec] = {}
_BOTH = Registry[ItemSpec]("item")  # tables and figures share their names


def register(spec: TableSpec | FigureSpec) -> Any:
    """Add an item; UserError if its name is taken."""
    _BOTH[spec.name] = spec
    (TABLES if isinstance(spec, TableSpec) else FIGURES)[spec.name] = spec
    return spec


def _registers(spec_of: Callable[[Callable], ItemSpec]) -> Callable:
    def decorate(function: Callable) -> Callable:
        register(spec_of(function))
        return function

    return decorate


def figure(name: str, **about: Any) -> Callable[[Callable], Callable]:
    """Register a figure that the decorated function draws."""
    return _registers(lambda draw: FigureSpec(name=name, draw=draw, **about))


def table(name: str, **about: Any) -> Callable[[Callable], Callable]:
    """Register a table that the decorated function builds."""
    return _registers(lambda build: TableSpec(name=name, build=build, **about))


def in_order(specs: Mapping[str, ItemSpec]) -> dict[str, Any]:
    """Items in the paper's order."""
    return dict(sorted(specs.items(), key=lambda pair: pair[1].order))
