"""Which code the stages of the paper count."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

from runledger.fingerprint import Fingerprinter

ROOT = Path(__file__).resolve().parents[2]


def test_closure_of_real_stages_is_what_python_imports() -> None:
    """Against Python's own record of what a stage program loads."""
    code = (
        "import sys; sys.path[:0] = ['src', 'runledger/src', 'stages']; "
        "import train_student; "
        "print(*[m.__file__ for m in sys.modules.values() "
        "if 'dash_repro' in (getattr(m, '__file__', '') or '')], sep='\\n')"
    )
    done = subprocess.run(
        [
            ROOT / ".venv/bin/python" if (ROOT / ".venv").exists() else "python",
            "-c",
            code,
        ],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    loaded = {
        Path(line).resolve().relative_to(ROOT).as_posix()
        for line in done.stdout.splitlines()
    }
    closure = set(Fingerprinter(ROOT).modules("stages/train_student.py"))
    assert loaded <= closure
    assert not {
        name for name in closure if re.search("paper|evaluation|runledger", name)
    }


def test_a_stage_of_the_paper_follows_what_it_lays_out_and_no_more() -> None:
    modules = Fingerprinter(ROOT).modules
    made = {
        stage: {name for name in modules(f"stages/{stage}.py") if "/paper/" in name}
        for stage in ("make_table", "plot_figure", "collect_results", "build_paper")
    }
    tables = "src/dash_repro/paper/tables/students.py"
    figures = "src/dash_repro/paper/figures/curves.py"
    assert {stage for stage, names in made.items() if tables in names} == {"make_table"}
    assert {s for s, names in made.items() if figures in names} == {"plot_figure"}
