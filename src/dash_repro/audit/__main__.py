"""``python -m dash_repro.audit``: what a reviewer would object to, in this checkout."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import click

from runledger.errors import UserError

NOT_MADE = ("missing run", "missing table")
FILE = click.Path(path_type=Path)


def main(arguments: list[str] | None = None) -> int:
    """Audit the current folder; 0 if there is nothing to object to."""
    try:
        return int(audit.main(arguments, "make audit", standalone_mode=False))
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
    except click.ClickException as error:
        error.show()
    return 2


@click.command(help=__doc__)
@click.option("--cell", help="The whole account of one cell, by address.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.option("--report", type=FILE, help="Write the page here.")
@click.option("--crate", type=FILE, help="Write a Workflow Run RO-Crate here.")
@click.option("--strict", is_flag=True, help="Notices and unchecked bytes fail, too.")
@click.option(
    "--unfinished", is_flag=True, help="What was not made does not fail the audit."
)
@click.option("--no-remote", is_flag=True, help="Do not ask the DVC remote.")
@click.option(
    "--every-metric",
    is_flag=True,
    help="Compute metrics of samples again that take long, too.",
)
def audit(
    cell: str | None,
    as_json: bool,
    report: Path | None,
    crate: Path | None,
    strict: bool,
    unfinished: bool,
    no_remote: bool,
    every_metric: bool,
) -> int:
    root = Path.cwd()
    from dash_repro.audit.audit import as_text, run_audit

    if crate:
        from dash_repro.audit.crate import write

        print(write(root, crate))
        return 0
    audit = run_audit(root, not no_remote, every_metric, cell or None)
    against = audit.findings if strict else audit.objections
    failed = any(not (unfinished and one.kind in NOT_MADE) for one in against)
    if cell:
        from dash_repro.audit.account import account, render_account

        known = account(audit, cell)
        text = json.dumps(known, indent=1) if as_json else render_account(known)
        print(text)
        return 1 if known["status"] == "objection" else 0
    if report:
        from dash_repro.audit.report import write_report

        for path in write_report(audit, report):
            print(f"written: {path}")
    print(json.dumps(audit.to_dict(), indent=1) if as_json else as_text(audit))
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
