"""The documentation site: `make docs` builds it, and a warning fails.

Sphinx with MyST reads the pages that are read on a git host, too. The theme brings its
own scripts and no fonts, so that the site works without a network.
"""

import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT / "src"), str(ROOT / "runledger" / "src")]

project, author = "dash-repro", "the authors of dash-repro"
extensions = ["myst_parser", "sphinx_click"]
exclude_patterns = ["conf.py"]
html_theme, html_title = "furo", "dash-repro"
html_extra_path = ["study_report.html"]  # the audit's page of the published study
smartquotes = False  # "--output" keeps its two dashes
html_copy_source = html_show_sourcelink = False
myst_heading_anchors = 3
myst_enable_extensions = ["substitution", "colon_fence"]

_help = re.findall(r"^([a-z-]+):.*## (.*)$", (ROOT / "Makefile").read_text(), re.M)
_rows = [f"| `make {name}` | {text} |" for name, text in sorted(_help)]
myst_substitutions = {"make_targets": "\n".join(["| | |", "|---|---|", *_rows])}
