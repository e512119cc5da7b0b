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
        """One cell."""

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


def _increasing(values: list[Decimal]) -> bool:
    return all(a < b for a, b in pairwise(values))


def _sigmoid(x: Decimal) -> Decimal:
    return 1 / (1 + (-x).exp())


class Formula:
    """Evaluates expressions over cells and names given earlier.

    Functions: v("item/row/column"), row("item/row"), row_from("item/row", lowest w),
    best("item/row") (column of the smallest number), column(item, prefix, column),
    min, max, sum, abs, first, last, rest, minus (lists), increasing, sigmoid.
    """

    def __init__(self, cells: Cells) -> None:
        self._cells = cells
        self._functions: dict[str, Callable[..., Any]] = {
            "v": cells.value,
            "row": lambda address: [number for _, number in cells.row(address)],
            "row_from": self._row_from,
            "best": self._best,
            "column": cells.column,
            "min": lambda *values: min(_flat(values)),
            "max": lambda *values: max(_flat(values)),
            "sum": lambda *values: sum(_flat(values), Decimal(0)),
            "abs": abs,
            "first": lambda values: _flat(values)[0],
            "last": lambda values: _flat(values)[-1],
            "rest": lambda values: _flat(values)[1:],
            "minus": _minus,
            "increasing": _increasing,
            "sigmoid": _sigmoid,
        }

    def _row_from(self, address: str, lowest: Decimal) -> list[Decimal]:
        """Numbers of a row whose columns are named w<scale>, from a scale on."""
        cells = self._cells.row(address)
        return [number for name, number in cells if Decimal(name[1:]) >= lowest]

    def _best(self, address: str) -> str:
        return min(self._cells.row(address), key=lambda pair: pair[1])[0]

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
