"""A tiny, safe calculator for claims: arithmetic over table cells, nothing else."""

from __future__ import annotations

import ast
import operator
from collections.abc import Callable, Mapping, Sequence
from decimal import Context, Decimal, DecimalException, localcontext
from itertools import pairwise
from typing import Any, Protocol

from runledger.errors import UserError

_PRECISION = Context(prec=50)
_LONGEST = 1000


class FormulaError(UserError):
    """A formula that is not one, or uses what is not allowed."""


class NotTestable(Exception):
    """A number that a formula needs does not exist; the message says why."""


class Cells(Protocol):
    """Where a formula finds numbers."""

    def value(self, address: str) -> Decimal:
        """The number of one cell, by its address."""

    def row(self, address: str) -> list[tuple[str, Decimal]]:
        """(column, number) of a whole row "item/row", in the table's order."""

    def column(self, item: str, prefix: str, column: str) -> list[Decimal]:
        """A column over the rows whose ids start with the prefix, in their order."""


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


def _minus(first: list[Decimal], second: list[Decimal]) -> list[Decimal]:
    return [a - b for a, b in zip(first, second, strict=True)]


def _divided(first: list[Decimal], second: list[Decimal]) -> list[Decimal]:
    return [a / b for a, b in zip(first, second, strict=True)]


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


def _count_within(values: list[Decimal], lowest: Decimal, highest: Decimal) -> Decimal:
    return Decimal(sum(lowest <= value <= highest for value in values))


def _sigmoid(x: Decimal) -> Decimal:
    return 1 / (1 + (-x).exp())


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
            "best": self._best,
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
            "minus": _minus,
            "divided": _divided,
            "steps": _steps,
            "valley": _valley,
            "count": lambda values: Decimal(len(values)),
            "count_within": _count_within,
            "rounds": _rounds,
            "sigmoid": _sigmoid,
        }

    def _row_from(self, address: str, lowest: Decimal) -> list[Decimal]:
        """Numbers of a row whose columns are named w<scale>, from a scale on."""
        cells = self._cells.row(address)
        return [number for name, number in cells if Decimal(name[1:]) >= lowest]

    def _best(self, address: str) -> str:
        return min(self._cells.row(address), key=lambda pair: pair[1])[0]

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
