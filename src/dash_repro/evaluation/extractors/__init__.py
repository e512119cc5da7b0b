"""The feature extractors: each module of this folder registers its own."""

from dash_repro.evaluation.extractor import EXTRACTORS, Extractor, build_extractor
from runledger.plugins import import_all

import_all(__name__, __path__)
__all__ = ["EXTRACTORS", "Extractor", "build_extractor"]
