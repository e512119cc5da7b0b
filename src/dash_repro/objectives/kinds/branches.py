"""Eq. 8 alone, and the noise without a teacher: neither has a term of its own."""

from dash_repro.objectives.kind import OBJECTIVES, Kind

OBJECTIVES["branches"] = Kind(cond=False, label_dropout=True)
OBJECTIVES["noise"] = Kind(passes=(1, 0), label_dropout=True)
