"""The long table between raw results and the paper: one row per number, as text."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from decimal import Decimal
from operator import attrgetter
from pathlib import Path
from typing import Any

from runledger import lookup, nested
from runledger.errors import UserError

PARAMS_STAGE = "params"
ITEM_FOLDERS = "dash_repro.paper.tables or .figures"


class CollectedError(UserError):
    """A number that a table or figure needs is missing, or is there twice."""


@dataclass(frozen=True, order=True)
class Row:
    """One raw number; empty text where a column does not apply.

    `value` is the shortest text that reads back to the same float, and so is `error`,
    its standard error over samples, "" if it has none. `step` is a training step, `x` a
    timestep t (of a bin: its middle).
    """

    item: str = ""
    dataset: str = ""
    model: str = ""
    width: str = ""
    seed: str = ""
    sampler: str = ""
    guidance: str = ""
    scale: str = ""
    steps: str = ""
    sampling_seed: str = ""
    metric: str = ""
    name: str = ""
    value: str = ""
    error: str = ""
    n: str = ""
    extractor: str = ""
    stage: str = ""
    instance: str = ""
    step: str = ""
    x: str = ""

    @property
    def number(self) -> Decimal:
        """The value, exactly as written."""
        return Decimal(self.value)


COLUMNS = tuple(field.name for field in fields(Row))


def number_text(value: float | int) -> str:
    """Shortest text that reads back to the same number (repr)."""
    return repr(value) if isinstance(value, int) else repr(float(value))


def write_rows(path: Path | str, rows: Iterable[Row]) -> None:
    """Write rows as CSV, sorted, so that the order of collection leaves no trace."""
    with open(path, "w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(COLUMNS)
        writer.writerows(map(attrgetter(*COLUMNS), sorted(rows)))


def read_rows(path: Path | str) -> Collected:
    """Read what `write_rows` wrote.

    Raises:
        CollectedError: other columns than expected.
    """
    with open(path, newline="", encoding="utf-8") as file:
        reader = csv.reader(file)
        header = tuple(next(reader, ()))
        if header != COLUMNS:
            raise CollectedError(
                f"columns {header} instead of {COLUMNS}",
                str(path),
                "delete the file and run collect_results again",
            )
        return Collected([Row(*line) for line in reader], str(path))


def param_rows(item: str, params: Mapping[str, Any], above: str = "") -> list[Row]:
    """One row per param, named by its dotted key, with its value as JSON.

    Args:
        item: table or figure.
        params: as a job has them, nested; what is no mapping is a value.
        above: key of the mapping that is written.
    """
    rows = []
    for name, value in params.items():
        key = f"{above}.{name}" if above else str(name)
        if isinstance(value, Mapping) and value:
            rows += param_rows(item, value, key)
            continue
        about = {"metric": "param", "name": key, "value": json.dumps(value)}
        rows.append(Row(item=item, stage=PARAMS_STAGE, **about))
    return rows


class Collected:
    """Rows of one item, looked up by what they are; never by their order."""

    def __init__(self, rows: Iterable[Row], where: str) -> None:
        self.where = where
        self.rows = sorted(rows)
        self._by_metric: dict[str, list[Row]] = {}
        for row in self.rows:
            self._by_metric.setdefault(row.metric, []).append(row)
        params = self._by_metric.get("param", [])
        self._params = nested({row.name: json.loads(row.value) for row in params})

    def param(self, key: str) -> Any:
        """Value of a dotted key of params.yaml that was recorded with the rows.

        Raises:
            CollectedError: neither it nor a section that holds it was recorded.
        """
        try:
            return lookup(self._params, key)
        except KeyError:
            raise CollectedError(
                f"the params row {key!r} is missing",
                self.where,
                "name it among the params where the item is registered "
                f"({ITEM_FOLDERS}), then collect again",
            ) from None

    def find(self, metric: str, **where: Any) -> list[Row]:
        """Rows of a metric whose columns equal `where` (None: not compared)."""
        wanted = {
            column: _column_text(value)
            for column, value in where.items()
            if value is not None
        }
        return [
            row
            for row in self._by_metric.get(metric, [])
            if all(getattr(row, column) == text for column, text in wanted.items())
        ]

    def one(self, metric: str, **where: Any) -> Row:
        """The only row of a metric with these columns.

        Raises:
            CollectedError: there is none, or there are several.
        """
        found = self.find(metric, **where)
        if len(found) == 1:
            return found[0]
        place = ", ".join(f"{key} {value}" for key, value in where.items())
        what = "no value" if not found else f"{len(found)} values"
        raise CollectedError(
            f"{what} of {metric} for {place}",
            self.where,
            "make the instances that it comes from, then collect again",
        )


def _column_text(value: Any) -> str:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    return number_text(value) if number else str(value)
