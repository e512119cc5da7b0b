"""How far a number may be off: its spread over training seeds and over samples."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Context, Decimal, localcontext
from functools import cache

from dash_repro.evaluation.jackknife import GROUPS
from dash_repro.paper.aggregate import SPREADS, Value, mean, statistic_of

_PRECISION = Context(prec=50)
_LEAST_STEPS = Decimal("3.55")  # of the last digit in a standard error
_HALF_A_STEP = Decimal("0.5")


@dataclass(frozen=True)
class Estimate:
    """A number, and what it is when one seed at a time is left out.

    Attributes:
        number: computed from all seeds.
        without: the same formula without each of the training seeds; empty if the
            number does not depend on several.
        single: it depends on one training seed only, so that nothing is known of its
            spread.
        resampled: the same formula without each of the sampling seeds; empty likewise.
        sampling_error: where there is one sampling seed, the standard error over
            samples; 0 where there is none, or where it is not known.
    """

    number: Decimal
    without: tuple[Decimal, ...] = ()
    single: bool = False
    resampled: tuple[Decimal, ...] = ()
    sampling_error: Decimal = Decimal(0)

    def interval(self, error_rate: float) -> tuple[Decimal, Decimal] | None:
        """Two-sided interval that misses the true value with that probability.

        The standard error times Student's t, whose degrees of freedom are those of
        Satterthwaite (1946). For a difference of two means over seeds this is the t
        interval of the differences paired by seed.

        Returns:
            (lowest, highest); None where a single training seed gives no interval.
        """
        if self.single:
            return None
        half = self.standard_error
        if half:
            half *= _student_t(error_rate, self._degrees)
        return self.number - half, self.number + half

    @property
    def exact(self) -> bool:
        """Whether nothing is known to vary it."""
        return not self.single and not self.parts

    @property
    def parts(self) -> list[tuple[Decimal, int]]:
        """(variance, degrees of freedom) over training seeds, and over samples.

        Of seeds both are the jackknife's: (n - 1) / n times the squares of the
        deviations. Source: Efron and Stein (1981). What the same samples add to both
        counts twice, so that their sum is rather too large (Owen, 2007, "The
        pigeonhole bootstrap").
        """
        found = [
            (_jackknife(values), len(values) - 1)
            for values in (self.without, self.resampled)
            if values
        ]
        if self.sampling_error:
            found.append((self.sampling_error**2, GROUPS - 1))
        return found

    @property
    def standard_error(self) -> Decimal:
        """Square root of the sum of all variances."""
        with localcontext(_PRECISION):
            return sum((part for part, _ in self.parts), Decimal(0)).sqrt()

    @property
    def _degrees(self) -> float:
        total = sum(float(part) for part, _ in self.parts)
        return total**2 / sum(float(part) ** 2 / count for part, count in self.parts)


def _jackknife(values: Sequence[Decimal]) -> Decimal:
    with localcontext(_PRECISION):
        centre = mean(values)
        squares = sum(((value - centre) ** 2 for value in values), Decimal(0))
        return squares * (len(values) - 1) / len(values)


@cache
def _student_t(error_rate: float, degrees: float) -> Decimal:
    from scipy.special import stdtrit

    return Decimal(repr(-float(stdtrit(degrees, error_rate / 2))))


def above_zero(estimates: Sequence[Estimate], error_rate: float) -> bool | None:
    """Whether all quantities are above zero, beyond what seeds explain.

    Args:
        estimates: the quantities.
        error_rate: of all their intervals together (shared equally, Bonferroni).

    Returns:
        True if every interval lies above zero, False if one lies below (or an exact
        number is not above zero), None if neither.
    """
    intervals = [one.interval(error_rate / len(estimates)) for one in estimates]
    pairs = [pair for pair in zip(estimates, intervals, strict=True) if pair[1]]
    if any(ends[1] < 0 or (one.exact and ends[0] <= 0) for one, ends in pairs):
        return False
    return True if all(ends and ends[0] > 0 for ends in intervals) else None


def estimate_of(values: Sequence[Value], statistic: str, ddof: int) -> Estimate:
    """A statistic of raw values, with its spread.

    Training seeds that share their noise count as one set of samples: their mean has
    the standard error of one. Sets of real images (without a training seed) overlap,
    and so have the mean.

    Args:
        values, statistic, ddof: as `statistic_of` has them.
    """

    def without(field: str) -> tuple[Decimal, ...]:
        seeds = sorted({getattr(value, field) for value in values})
        left = ([v for v in values if getattr(v, field) != seed] for seed in seeds)
        if len(seeds) == 1:
            return ()
        return tuple(statistic_of(part, statistic, ddof) for part in left)

    trained = any(value.seed for value in values)
    resampled = without("sampling_seed") if trained else ()
    error = Decimal(0) if resampled else _sampling_error(values, statistic)
    number = statistic_of(values, statistic, ddof)
    return Estimate(number, without("seed"), False, resampled, error)


def _sampling_error(values: Sequence[Value], statistic: str) -> Decimal:
    """Over samples; the two sides of a difference add as if they were independent."""
    if statistic not in ("mean", "difference") or not all(v.error for v in values):
        return Decimal(0)
    sides = {value.role for value in values}
    with localcontext(_PRECISION):
        found = [
            mean([Decimal(value.error) for value in values if value.role == side])
            for side in sides
        ]
        return sum((error**2 for error in found), Decimal(0)).sqrt()


def decimals_of(
    values: Sequence[Value], statistic: str, ddof: int, exponent: int, most: int
) -> int:
    """Digits after the point that a number's standard error supports.

    So many that the error is 3.55 to 35.5 steps of the last digit (the rule of the
    Particle Data Group), `most` at the most. A spread has those of its mean, or as many
    more as it needs not to be printed as zero.

    Args:
        values, statistic, ddof: of the cell.
        exponent: power of ten of the cell's unit.
        most: digits that the params ask for.
    """
    of = "mean" if statistic in SPREADS else statistic
    error = estimate_of(values, of, ddof).standard_error.scaleb(exponent)
    if not error:
        return most
    enough = (d for d in range(most) if error.scaleb(d) >= _LEAST_STEPS)
    digits = next(enough, most)
    if statistic in SPREADS:
        spread = statistic_of(values, statistic, ddof).scaleb(exponent)
        while spread and digits < most and spread.scaleb(digits) < _HALF_A_STEP:
            digits += 1
    return digits
