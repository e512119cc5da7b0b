"""The tables: each module of this folder registers those that it defines."""

from dash_repro.paper.claims_table import claims_table
from dash_repro.paper.registry import TABLES, register
from runledger.plugins import import_all

import_all(__name__, __path__)
register(claims_table(TABLES.values()))
__all__ = ["TABLES"]
