"""A tiny, safe calculator for claims: arithmetic over table cells, nothing else."""

from __future__ import annotations

import ast
import operator
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from decimal import Context, Decimal, DecimalException, localcontext
from itertools import pairwise
from operator import itemgetter
from typing import Any

from runledger.errors import UserError

_PRECISION = Context(prec=50)
_LONGEST = 1000


class FormulaError(UserError):
    """A formula that is not one, or uses what is not allowed."""


class NotTestable(Exception):
    """A number that a formula needs does not exist; the message says why."""


class Cells(ABC):
    """Where a formula finds numbers, by their addresses; `read` lists what it took."""

    def __init__(self) -> None:
        self.read: list[str] = []

    @abstractmethod
    def value(self, address: str) -> Decimal:
        """The number of one cell "item/row/column"."""

    @abstractmethod
    def rows(self, item: str) -> Iterable[str]:
        """Ids of a table's rows, in their order."""

    @abstractmethod
    def columns(self, item: str, row: str) -> Sequence[str]:
        """Names of the columns of a row of a sweep, in the table's order."""

    def seeds_read(self, field: str) -> frozenset[str]:
        """The "seed"s or "sampling_seed"s behind the cells that were read."""
        return frozenset()

    def row(self, address: str) -> list[tuple[str, Decimal]]:
        """(column, number) of a whole row "item/row", in the table's order."""
        names = self.columns(*address.split("/"))
        return [(name, self.value(f"{address}/{name}")) for name in names]

    def column(self, item: str, prefix: str, column: str) -> list[Decimal]:
        """A column over the rows whose ids start with the prefix, in their order."""
        rows = [row for row in self.rows(item) if row.startswith(prefix)]
        return [self.value(f"{item}/{row}/{column}") for row in rows]


_BINARY: dict[type, Callable[[Any, Any], Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
}
_COMPARE: dict[type, Callable[[Any, Any], bool]] = {
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
}


def _flat(values: Sequence[Any]) -> list[Decimal]:
    flat: list[Decimal] = []
    for value in values:
        flat += value if isinstance(value, list) else [value]
    if not flat:
        raise NotTestable("an empty list of numbers")
    return flat


def _by_pairs(operation: Callable[[Any, Any], Any]) -> Callable[..., list[Decimal]]:
    """An operation on two lists of equal length, element by element."""
    return lambda a, b: [operation(*pair) for pair in zip(a, b, strict=True)]


def _steps(values: list[Decimal]) -> list[Decimal]:
    return [b - a for a, b in pairwise(values)]


def _valley(values: list[Decimal]) -> Decimal:
    """The smallest step in the right direction of a curve with one minimum."""
    lowest = values.index(min(values))
    down = [-step for step in _steps(values[: lowest + 1])]
    return min(_flat([down, _steps(values[lowest:])]))


def _rounds(value: Decimal, quoted: str) -> Decimal:
    """How far a value is inside of what rounds to a quoted number; below 0: outside."""
    unit = Decimal(1).scaleb(Decimal(quoted).as_tuple().exponent)
    return unit / 2 - abs(value - Decimal(quoted))


class Formula:
    """Evaluates expressions over cells and names given earlier.

    Functions: v("item/row/column"), row("item/row"), row_from("item/row", lowest w),
    best("item/row") (column of the smallest number), margin("item/row", column) (by how
    much the smallest other number is larger), column(item, prefix, column), min, max,
    abs, sigmoid; of lists first, last, rest, all_but_last, joined, minus, divided,
    steps (differences of neighbours), valley (the smallest step in the right direction
    of a curve with one minimum), count, count_within(list, lowest, highest);
    rounds(value, "quoted") (above zero if the value rounds to the quoted number).
    """

    def __init__(self, cells: Cells) -> None:
        self._cells = cells
        self._functions: dict[str, Callable[..., Any]] = {
            "v": cells.value,
            "row": lambda address: [number for _, number in cells.row(address)],
            "row_from": self._row_from,
            "best": lambda address: min(cells.row(address), key=itemgetter(1))[0],
            "margin": self._margin,
            "column": cells.column,
            "min": lambda *values: min(_flat(values)),
            "max": lambda *values: max(_flat(values)),
            "abs": abs,
            "first": lambda values: _flat(values)[0],
            "last": lambda values: _flat(values)[-1],
            "rest": lambda values: _flat(values)[1:],
            "all_but_last": lambda values: _flat(values)[:-1],
            "joined": lambda *values: _flat(values),
            "minus": _by_pairs(operator.sub),
            "divided": _by_pairs(operator.truediv),
            "steps": _steps,
            "valley": _valley,
            "count": lambda values: Decimal(len(values)),
            "count_within": lambda values, low, high: Decimal(
                sum(low <= value <= high for value in values)
            ),
            "rounds": _rounds,
            "sigmoid": lambda x: 1 / (1 + (-x).exp()),
        }

    def _row_from(self, address: str, lowest: Decimal) -> list[Decimal]:
        """Numbers of a row whose columns are named w<scale>, from a scale on."""
        cells = self._cells.row(address)
        return [number for name, number in cells if Decimal(name[1:]) >= lowest]

    def _margin(self, address: str, column: str) -> Decimal:
        """By how much the smallest other number of a row exceeds that of a column."""
        row = dict(self._cells.row(address))
        if column not in row:
            raise NotTestable(f"{address} has no column {column}")
        own = row.pop(column)
        return min(_flat(list(row.values()))) - own

    def evaluate(self, text: str, names: Mapping[str, Any]) -> Any:
        """Value of a formula: a Decimal, a truth value, a text or a list.

        Args:
            text: a Python expression of the allowed kind.
            names: values it may use by name.

        Raises:
            FormulaError: anything but arithmetic, comparisons, and/or/not, and the
                functions above.
            NotTestable: a number is missing or a division by zero.
        """
        try:
            if len(text) > _LONGEST:
                raise SyntaxError(f"longer than {_LONGEST} characters")
            tree = ast.parse(text, mode="eval")
        except SyntaxError as error:
            raise FormulaError(f"not a formula: {text!r} ({error})", "claims") from None
        with localcontext(_PRECISION):
            try:
                return self._node(tree.body, names, text)
            except DecimalException:
                raise NotTestable("a division by zero") from None

    def _node(self, node: ast.AST, names: Mapping[str, Any], text: str) -> Any:
        def value(inner: ast.AST) -> Any:
            return self._node(inner, names, text)

        match node:
            case ast.Constant(value=bool() | str()):
                return node.value
            case ast.Constant(value=int() | float()):
                return Decimal(repr(node.value))
            case ast.Name() if node.id in names:
                return names[node.id]
            case ast.BinOp() if type(node.op) in _BINARY:
                return _BINARY[type(node.op)](value(node.left), value(node.right))
            case ast.UnaryOp(op=ast.USub()):
                return -value(node.operand)
            case ast.UnaryOp(op=ast.Not()):
                return not value(node.operand)
            case ast.BoolOp():
                join = all if isinstance(node.op, ast.And) else any
                return join([value(inner) for inner in node.values])
            case ast.Compare() if all(type(op) in _COMPARE for op in node.ops):
                sides = [value(inner) for inner in (node.left, *node.comparators)]
                pairs = zip(node.ops, pairwise(sides), strict=True)
                return all(_COMPARE[type(op)](*pair) for op, pair in pairs)
            case ast.Call(func=ast.Name(), keywords=[]) if (
                node.func.id in self._functions
            ):
                return self._functions[node.func.id](*map(value, node.args))
        raise FormulaError(
            f"{ast.unparse(node)!r} is not allowed in the formula {text!r}",
            "paper/claims.yaml",
            "use arithmetic, comparisons and the functions of class Formula",
        )
