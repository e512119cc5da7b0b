"""The standard error of a metric over samples: the jackknife that leaves out groups.

A metric is computed again without each of GROUPS equal parts of its samples. All these
values have the same number of samples, so that the bias that depends on it cancels; a
bootstrap adds to that bias, for its sets hold the same image several times. On the
average the estimate does not lie below the true variance, whether the metric is smooth
or not. Source: Efron and Stein (1981), "The jackknife estimate of variance".
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

GROUPS = 10  # 100 samples of ten classes make groups with all of them
STUDENT_T = 2.2621571627409915  # 97.5 % quantile with GROUPS - 1 degrees of freedom


def group_of(count: int) -> np.ndarray | None:
    """The group, 0 to GROUPS - 1, of each of `count` samples; None: too few.

    Neighbours are together: the labels of samples go round, so that each group has all
    classes alike, as every other set of samples has.
    """
    return np.arange(count) * GROUPS // count if count >= GROUPS else None


def standard_error(without: Sequence[float] | np.ndarray | None) -> float | None:
    """sqrt((G - 1) / G sum_g (value_g - mean)^2).

    Args:
        without: (G,), the metric without each of the groups; None: there are none.
    """
    if without is None:
        return None
    values = np.asarray(without, np.float64)
    return float(np.sqrt((len(values) - 1) * values.var()))


def interval(value: float, error: float) -> list[float]:
    """95 % interval by Student's t with GROUPS - 1 degrees: [lowest, highest]."""
    return [value - STUDENT_T * error, value + STUDENT_T * error]
