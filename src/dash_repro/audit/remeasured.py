"""Metrics of a set of samples from its features.npz, by code of the audit's own.

A second opinion: it shares no code with dash_repro.evaluation. The features are in half
precision, so that a metric comes out close to the recorded one, not equal to it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from scipy.special import xlogy

from dash_repro.arrays import load_npz

GROUPS = 10  # that metrics are computed without, of the samples
MOST = 10_000  # images of a set whose features are kept
QUICK = 1_000  # images of a set of which every metric takes little time; dimensions
ROUNDING = 2e-3  # of a metric of features in half precision, as a share of it

Arrays = Mapping[str, np.ndarray]


class Again(NamedTuple):
    """A metric that was computed again.

    Attributes:
        value: the metric.
        error: its standard error over samples; None: not computed.
        slack: by how much rounding to half precision may move the value.
        error_slack: likewise the error, besides a share of it.
    """

    value: float
    error: float | None
    slack: float
    error_slack: float = 0.0


def groups_of(count: int) -> np.ndarray:
    """The group of each of so many samples, in their order."""
    return np.arange(count) * GROUPS // count


def group_error(
    metric: Callable[[np.ndarray], float], group: np.ndarray
) -> float | None:
    """Jackknife standard error of a metric of chosen samples; None of too few.

    Args:
        metric: of a mask of samples.
        group: of GROUPS, the one that each sample belongs to.
    """
    if len(np.unique(group)) < GROUPS:
        return None
    values = np.array([metric(group != number) for number in range(GROUPS)])
    return np.sqrt(((values - values.mean()) ** 2).sum() * (GROUPS - 1) / GROUPS)


class Real:
    """The real images of a reference.npz.

    Attributes:
        features, mu: as there.
        factor, total: B of the covariance B B^T, and its trace.
        usual: the distance of a held-out image to its nearest training image.
    """

    def __init__(self, path: Path) -> None:
        arrays = load_npz(path, ("features", "mu", "sigma", "held_out_distance"))
        self.features, self.mu = arrays["features"], arrays["mu"]
        levels, axes = np.linalg.eigh(arrays["sigma"])
        self.factor = axes * np.sqrt(np.maximum(levels, 0.0))
        self.total = float(np.square(self.factor).sum())
        self.usual = float(arrays["held_out_distance"])

    @lru_cache(maxsize=2)  # noqa: B019 - two datasets, and as many sizes of sets
    def balls(
        self, samples: int, count: int, seed: int, k: int
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Which samples are compared with which real images, and these's balls.

        Args:
            samples: how many there are.
            count: how many of either are chosen at random.
            seed, k: as in params.yaml.

        Returns:
            Numbers of samples, features of real images, and the squared distance of
            each of these to its k-th nearest other one.
        """
        rng = np.random.default_rng(seed)
        made = np.sort(rng.permutation(samples)[:count])
        real = self.features[np.sort(rng.permutation(len(self.features))[:count])]
        return made, real, np.sort(_apart(real, real), axis=1)[:, min(k, count - 1)]


real_images = lru_cache(maxsize=2)(Real)


def _apart(rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
    """Squared Euclidean distances, (N, M) in float64."""
    x, y = rows.astype(np.float64), columns.astype(np.float64)
    products = x @ y.T
    products *= -2.0
    products += np.einsum("nd,nd->n", x, x)[:, None]
    products += np.einsum("md,md->m", y, y)
    return products


class Samples:
    """One set of samples, and what its metrics are measured against.

    Args:
        kept: content of features.npz.
        real: of real_images.
        settings: section compute_metrics of params.yaml.
    """

    def __init__(self, kept: Arrays, real: Real, settings: Mapping[str, Any]) -> None:
        self.x = kept["features"].astype(np.float64)
        self.kept, self.real, self.settings = kept, real, settings
        self.count, self.seed = len(self.x), settings["shuffle_seed"]
        self.group = groups_of(self.count)

    @cached_property
    def seen(self) -> np.ndarray:
        """X B, (N, D): of its centred rows the nuclear norm is the overlap."""
        return self.x @ self.real.factor

    @cached_property
    def products(self) -> np.ndarray | None:
        """Those of its rows, (N, N), which all subsets share; None of many rows."""
        few = self.count <= min(QUICK, self.x.shape[1])
        return self.seen @ self.seen.T if few else None

    def metrics(self, every: bool) -> dict[str, Again]:
        """Those of the metrics that are known here; `every`: the slow ones, too."""
        found = {
            "frechet": self.frechet(),
            "frechet_infinity": self.frechet_infinity(every),
        }
        if "recognised" in self.kept:
            found["class_accuracy"] = self.accuracy()
        if self.kept["probabilities"].shape[1]:
            found["inception_score"] = self.score()
        if every or self.count <= QUICK:
            found |= self.neighbours() | {"kid": self.kid()}
        return found

    def _without(self, metric: Callable[[np.ndarray], float]) -> float | None:
        return group_error(metric, self.group)

    def _frechet(self, some: np.ndarray) -> float:
        """The nuclear norm of X B is the trace of the root of the covariances."""
        y = self.x[some]
        own = np.square(y - y.mean(axis=0)).sum() / (len(y) - 1)
        if self.products is None:
            z = self.seen[some] - self.seen[some].mean(axis=0)
            gram = z.T @ z if len(z) > z.shape[1] else z @ z.T
        else:
            gram = self.products[some][:, some]
            gram = gram - gram.mean(axis=0) - gram.mean(axis=1)[:, None] + gram.mean()
        levels = np.linalg.eigvalsh(gram / (len(y) - 1))
        overlap = np.sqrt(np.maximum(levels, 0.0)).sum()
        shift = np.square(y.mean(axis=0) - self.real.mu).sum()
        return shift + own + self.real.total - 2.0 * overlap

    def frechet(self) -> Again:
        """The distance of all samples."""
        value = self._frechet(self.group >= 0)
        return Again(value, self._without(self._frechet), ROUNDING * value)

    def frechet_infinity(self, with_error: bool) -> Again:
        """Where the line through the distances of subsets over 1 / size ends."""
        least = max(2, min(self.settings["infinity_least"], self.count // 2))
        points = self.settings["infinity_points"]
        sizes = np.linspace(least, self.count, points).astype(int)
        rng = np.random.default_rng(self.seed)
        orders = [rng.permutation(self.count) for _ in sizes]

        def end(left: np.ndarray) -> float:
            fewer = sizes * int(left.sum()) // self.count
            pairs = zip(orders, fewer, strict=True)
            parts = [order[left[order]][:size] for order, size in pairs]
            line = np.array([1.0 / len(rows) for rows in parts])
            distances = np.array([self._frechet(rows) for rows in parts])
            line -= line.mean()
            flat = not np.square(line).sum() > 0
            slope = 0.0 if flat else (line @ distances) / (line @ line)
            middle = np.mean([1.0 / len(rows) for rows in parts])
            return distances.mean() - slope * middle

        everything = self.group >= 0
        quick = min(self.x.shape) <= QUICK and least > GROUPS
        error = self._without(end) if with_error and quick else None
        far = self._frechet(everything)
        return Again(end(everything), error, ROUNDING * far, ROUNDING * far)

    def score(self) -> Again:
        """The inception score: mutual information of image and class, by splits."""
        rows = self.kept["probabilities"].astype(np.float64)
        order = np.random.default_rng(self.seed).permutation(self.count)
        scores = []
        for part in np.array_split(rows[order], self.settings["is_splits"]):
            part = part / part.sum(axis=1, keepdims=True)
            mean = part.mean(axis=0)
            sure = xlogy(part, part).sum(axis=1).mean()
            scores.append(np.exp(sure - xlogy(mean, mean).sum()))
        value = float(np.mean(scores))
        return Again(value, None, ROUNDING * value)

    def accuracy(self) -> Again:
        """The share of samples that the classifier recognised."""
        return _share(self.kept["recognised"], 1e-9)

    def neighbours(self) -> dict[str, Again]:
        """Precision, recall, and how near the nearest real images are."""
        k, real = self.settings["precision_k"], self.real
        count = min(self.count, len(real.features), self.settings["precision_images"])
        rows, others, reach = real.balls(self.count, count, self.seed, k)
        made = self.x[rows]
        between, within = _apart(made, others), _apart(made, made)
        slack = 0.002 + 1.5 / count  # one or two samples, moved by rounding
        found = {"precision": _share((between <= reach).any(axis=1), slack)}

        def recall(left: np.ndarray) -> float:
            inside = np.sort(within[np.ix_(left, left)], axis=1)
            mine = inside[:, min(k, left.sum() - 1)]
            return (between[left] <= mine[:, None]).any(axis=0).mean()

        every = np.ones(count, bool)
        error = group_error(recall, groups_of(count))
        found["recall"] = Again(recall(every), error, slack, slack)
        usual = real.usual
        if not np.isnan(usual):
            far = np.sqrt(np.maximum(_apart(self.x, real.features).min(axis=1), 0.0))
            error = self._without(lambda left: float(np.median(far[left])) / usual)
            found["nearest"] = Again(float(np.median(far)) / usual, error, 5e-3, 2e-3)
        return found

    def kid(self) -> Again:
        """The unbiased squared MMD: mean over subsets, error of all samples."""
        subsets, size = self.settings["kid_subsets"], self.settings["kid_subset_size"]
        theirs = self.real.features.astype(np.float64)
        rng = np.random.default_rng(self.seed)
        values = []
        for _ in range(subsets):
            x = self.x[rng.choice(self.count, size, replace=False)]
            y = theirs[rng.choice(len(theirs), size, replace=False)]
            inside = [_mean_of_pairs(_kernel(one, one)) for one in (x, y)]
            values.append(sum(inside) - 2.0 * _kernel(x, y).mean())
        value, error = float(np.mean(values)), None
        if self.count >= GROUPS and subsets > 1:
            some = theirs[:: -(-len(theirs) // MOST)]
            within, across = _kernel(self.x, self.x), _kernel(self.x, some).mean(axis=1)

            def whole(left: np.ndarray) -> float:
                pairs = _mean_of_pairs(within[np.ix_(left, left)])
                return pairs - 2.0 * across[left].mean()

            drawn = np.var(values) / (subsets - 1)
            error = float(np.sqrt(self._without(whole) ** 2 + drawn))
        slack = ROUNDING * abs(value) + 0.1 * float(np.std(values))
        return Again(value, error, slack)


def _share(hits: np.ndarray, slack: float) -> Again:
    """A share of samples."""
    error = group_error(lambda left: hits[left].mean(), groups_of(len(hits)))
    return Again(float(hits.mean()), error, slack, slack)


def _kernel(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    return np.power(x @ y.T / x.shape[1] + 1.0, 3)


def _mean_of_pairs(kernel: np.ndarray) -> float:
    """Of all pairs of two different images."""
    count = len(kernel)
    return (kernel.sum() - np.einsum("nn->", kernel)) / (count * (count - 1))
