"""The tables: each module of this folder registers those that it defines."""

from dash_repro.paper.claims_table import claims_table
from dash_repro.paper.registry import TABLES, in_order, register
from runledger.plugins import import_all

import_all(__name__, __path__)
register(claims_table(in_order(TABLES).values()))
__all__ = ["TABLES"]
