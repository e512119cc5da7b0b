"""Git and DVC share the outputs out: none is in both, none in neither."""

from __future__ import annotations

import subprocess
from pathlib import Path

from runledger.project import load_pipeline

ROOT = Path(__file__).resolve().parents[2]


def test_git_ignores_what_dvc_keeps_and_nothing_else() -> None:
    pipeline = load_pipeline(ROOT)
    outs = [out for name in pipeline.instances for out in pipeline[name].outs]
    kept = {out.path for out in outs if out.cached}
    assert len(kept) > 500 and {path.split("/")[1] for path in kept} >= {
        *("train_classifier", "distill_steps", "train_student", "generate_samples"),
    }
    told = subprocess.run(
        ["git", "check-ignore", "--no-index", "--stdin", "-z"],
        input="\0".join(out.path for out in outs),
        cwd=ROOT,
        capture_output=True,
        encoding="utf-8",
    ).stdout
    ignored = set(filter(None, told.split("\0")))
    assert sorted(kept - ignored)[:5] == []
    assert sorted(ignored - kept)[:5] == []


def test_no_tracked_file_is_large() -> None:
    """Bytes belong to DVC; `study/store` is a remote of its that lies in git."""
    listed = subprocess.run(
        ["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, encoding="utf-8"
    ).stdout
    sizes = {
        name: (ROOT / name).lstat().st_size
        for name in filter(None, listed.split("\0"))
        if not name.startswith("study/store/")
    }
    assert len(sizes) > 500
    assert {name: size for name, size in sizes.items() if size > 1e6} == {}
