"""results/report.html: the audit as one page that works offline."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from dash_repro.audit.taint import short
from dash_repro.paper.markup import to_html, to_plain

FOLDER = Path(__file__).parent


def css_class(status: str) -> str:
    """The CSS class of a status."""
    return "s-" + status.replace("not checked", "unchecked")


@cache
def macros() -> Any:
    """The macros of parts.html, as functions; they escape what is no Markup."""
    found = Environment(
        loader=FileSystemLoader(FOLDER),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    found.filters["marked"] = lambda text: Markup(to_html(text))
    found.filters |= {"css": css_class, "plain": to_plain, "short": short}
    return found.get_template("parts.html").module
