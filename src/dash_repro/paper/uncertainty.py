"""Intervals of what is computed from several training seeds: the jackknife."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Context, Decimal, localcontext
from functools import cache

_PRECISION = Context(prec=50)


@dataclass(frozen=True)
class Estimate:
    """A number, and what it is when one training seed at a time is left out.

    Attributes:
        number: computed from all training seeds.
        without: the same formula without each of the seeds; empty if the number does
            not depend on seeds, so that it is exact.
        single: it depends on one training seed only, so that nothing is known of its
            spread.
    """

    number: Decimal
    without: tuple[Decimal, ...] = ()
    single: bool = False

    def interval(self, error_rate: float) -> tuple[Decimal, Decimal] | None:
        """Two-sided interval that misses the true value with that probability.

        The jackknife's standard error over n seeds, times Student's t with n - 1
        degrees of freedom. For a difference of two means over seeds this is the t
        interval of the differences paired by seed. Source: Efron and Stein (1981).

        Returns:
            (lowest, highest); None where a single seed gives no interval.
        """
        if self.single:
            return None
        if not self.without:
            return self.number, self.number
        half = self.standard_error * _student_t(error_rate, len(self.without) - 1)
        return self.number - half, self.number + half

    @property
    def standard_error(self) -> Decimal:
        """Square root of (n - 1) / n times the squares of the deviations."""
        count = len(self.without)
        with localcontext(_PRECISION):
            centre = sum(self.without, Decimal(0)) / count
            squares = sum(((x - centre) ** 2 for x in self.without), Decimal(0))
            return (squares * (count - 1) / count).sqrt()


@cache
def _student_t(error_rate: float, degrees: int) -> Decimal:
    from scipy.stats import t

    return Decimal(repr(float(t.isf(error_rate / 2, degrees))))


def above_zero(estimates: Sequence[Estimate], error_rate: float) -> bool | None:
    """Whether all quantities are above zero, beyond what seeds explain.

    Args:
        estimates: the quantities.
        error_rate: of all their intervals together (shared equally, Bonferroni).

    Returns:
        True if every interval lies above zero, False if one lies below (or an exact
        number is not above zero), None if neither.
    """
    known: list[bool | None] = []
    for estimate in estimates:
        interval = estimate.interval(error_rate / len(estimates))
        exact = not estimate.without and not estimate.single
        if interval is None:
            known.append(None)
        elif interval[0] > 0:
            known.append(True)
        else:
            known.append(False if interval[1] < 0 or exact else None)
    return False if False in known else None if None in known else True
