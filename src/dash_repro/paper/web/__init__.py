"""The HTML page: templates of jinja2 and a style sheet, in this folder.

Everything is escaped except markupsafe.Markup.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from dash_repro.paper.markup import to_html

FOLDER = Path(__file__).parent


@cache
def _environment() -> Environment:
    loader = FileSystemLoader(FOLDER)
    found = Environment(loader=loader, autoescape=True, undefined=StrictUndefined)
    found.filters["marked"] = lambda text: Markup(to_html(text))
    return found


def render(template: str, **values: Any) -> str:
    """Text of a template; a value that it lacks is an error of the program."""
    return _environment().get_template(template).render(**values)


def style() -> Markup:
    """The style sheet."""
    return Markup((FOLDER / "style.css").read_text(encoding="utf-8"))


def table(
    sidecar: Mapping[str, Any], box: Callable[[Mapping[str, Any]], Markup]
) -> Markup:
    """HTML of a table.

    Args:
        sidecar: of make_table.
        box: gives the <td> of one of its entries.
    """
    return Markup(render("table.html", box=box, **sidecar))
