"""A workspace: a checkout with its own params.yaml, such as the demo's.

How one is made, and what becomes of its files, is runledger.workspace's. Its
params.yaml is complete, for DVC reads it by itself: an overlay is merged with its base.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from dash_repro.params import load_params
from dash_repro.params.overlay import Layers
from dash_repro.params.text import complete
from runledger import Judge, failure, load_pipeline, optional, read_text
from runledger.errors import UserError
from runledger.workspace import commit
from runledger.workspace import make_workspace as made

__all__ = ["commit", "make_workspace", "summary"]

PAGE = "results/report.html"
PDF = "build_paper"
PARTS = {  # stage: what it makes, and where
    "make_table": ("tables", "results/tables/*.tex (and .json)"),
    "plot_figure": ("figures", "results/figures/*.pdf (and .png)"),
}
MOST = 5  # failures listed by name
PUBLISHED = "study"  # another run and its bytes, which a workspace has no use for
HEAD = """\
# Written from {name} over {base}: the settings of this workspace.
# Edit them here, and your file stays as it is; delete it to have it written anew.
# docs/params.md lists every key with its range, and so does `dash-repro params`.
"""


def make_workspace(source: Path, target: Path, params: Path) -> Path:
    """Make or renew a workspace; results that are there already stay.

    Args:
        source: the checkout.
        target: folder of the workspace.
        params: the params file it gets, complete or over a base.

    Raises:
        UserError: git fails, or the params are not valid.
    """
    values, layers, text = load_params(params), Layers.read(params), read_text(params)
    if layers.overlaid:  # DVC needs it complete
        names = [os.path.relpath(file) for file, _ in layers.documents]
        head = HEAD.format(name=names[0], base=", ".join(names[1:]))
        text = complete(layers, values, head)
    return made(source, target, text, str(params), without=[PUBLISHED])


def summary(root: Path) -> str:
    """Say what a workspace holds, where to look first, and what is missing and why.

    It is true at any time: after a whole run, a failed one, an interrupted one.
    """
    verdicts = Judge(root, load_pipeline(root)).judge()
    here = {
        name
        for name, v in verdicts.items()
        if v.valid and all((root / out.path).exists() for out in v.instance.outs)
    }
    unusable = optional(root).get(PDF)
    why = unusable(root) if unusable and PDF not in here else None
    left_out = {PDF} if why else set()
    absent = f"not made. {why}" if why else "not made yet"
    pdf = root / verdicts[PDF].instance.outs[0].path if PDF in here else absent
    page = root / PAGE if (root / PAGE).exists() else "not made yet"
    lines = [f"{'look first at':20s}{page}", f"{'the same as a PDF':20s}{pdf}"]
    for stage, (what, where) in PARTS.items():
        names = {n for n, v in verdicts.items() if v.instance.stage == stage}
        count = f"{len(names & here)} of {len(names)} {what}"
        lines.append(f"{count:20s}{root}/{where}")
    reasons = {n: failure(root, n, v.frozen_digest) for n, v in verdicts.items()}
    failed = {n: why for n, why in reasons.items() if why and n not in left_out}
    lines += [f"failed: {name}: {why}" for name, why in failed.items()][:MOST]
    if len(failed) > MOST:
        lines.append(f"failed: {len(failed) - MOST} more, in {root}/results/logs")
    if set(verdicts) - here - left_out:
        lines.append("The same command goes on from here.")
    return "\n".join(lines)


def main(arguments: list[str]) -> int:
    """``workspace TARGET PARAMS`` or, inside one, ``workspace --summary``."""
    try:
        if arguments == ["--summary"]:
            print(summary(Path.cwd()))
        else:
            target, params = map(Path, arguments)
            print("workspace:", make_workspace(Path.cwd(), target, params))
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
