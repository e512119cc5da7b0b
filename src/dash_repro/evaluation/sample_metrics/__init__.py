"""Metrics of a set of images: each module of this folder registers its own."""

from dash_repro.evaluation.metric import METRICS, Metric
from runledger.plugins import import_all

import_all(__name__, __path__)
__all__ = ["METRICS", "Metric"]
