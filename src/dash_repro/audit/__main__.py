"""``python -m dash_repro.audit``: what a reviewer would object to, in this checkout."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from runledger.errors import UserError


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="make audit", description=__doc__)
    parser.add_argument("--cell", help="the whole account of one cell, by address")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--report", type=Path, help="write the page here")
    parser.add_argument("--crate", type=Path, help="write a Workflow Run RO-Crate here")
    parser.add_argument(
        "--strict", action="store_true", help="notices and unchecked bytes fail too"
    )
    parser.add_argument(
        "--no-remote", action="store_true", help="do not ask the DVC remote"
    )
    return parser


def main(arguments: list[str] | None = None) -> int:
    """Audit the current folder; 0 if there is nothing to object to."""
    options = _parser().parse_args(arguments)
    try:
        return _run(Path.cwd(), options)
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2


def _run(root: Path, options: argparse.Namespace) -> int:
    from dash_repro.audit.audit import render, run_audit

    if options.crate:
        from dash_repro.audit.crate import write_crate

        print(write_crate(root, options.crate))
        return 0
    audit = run_audit(root, not options.no_remote)
    failed = bool(audit.findings if options.strict else audit.objections)
    if options.cell:
        from dash_repro.audit.account import account, render_account

        known = account(audit, options.cell)
        text = json.dumps(known, indent=1) if options.json else render_account(known)
        print(text)
        return 1 if known["status"] == "objection" else 0
    if options.report:
        from dash_repro.audit.report import write_report

        write_report(audit, options.report)
        print(f"written: {options.report}")
    print(json.dumps(audit.to_dict(), indent=1) if options.json else render(audit))
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
