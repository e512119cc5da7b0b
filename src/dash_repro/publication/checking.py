"""Is a published run what it claims to be, and what does another setting do to it?"""

from __future__ import annotations

import json
import math
import shutil
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from dash_repro.arrays import read_json
from dash_repro.publication.published import Publication, run_module, start
from runledger import md5_file
from runledger.errors import UserError
from runledger.git import run_git

DRAWN = ("make_table", "plot_figure")
SAMPLED = ("generate_samples", "compute_metrics", "measure_calibration")
PAGE = "results/report.html"  # all tables and figures, each number with its story
PROFILE = "workflow/profiles/demo"  # many small instances on one machine
CHECK, AGAIN, VARIED = "check", "again", "varied"
RECORDS = "results/records"
MEASURED = ("metrics.json", "calibration.json")
# another processor rounds otherwise: numbers are the same within a tenth of their
# standard error, or within a thousandth of their size, which one sample may change
SAME_ERRORS, SAME_SHARE = 0.1, 0.001
TEXT: Mapping[str, Any] = {"capture_output": True, "encoding": "utf-8"}


def check(publication: Publication, samples: str) -> Iterator[tuple[str, str, bool]]:
    """Bring a published run's bytes and see whether they are as published.

    Args:
        publication: what to check.
        samples: the id of a set of samples that is made again, with its metrics.

    Yields:
        What was looked at, what was found, and whether it is as published.

    Raises:
        UserError: nothing is published, or no samples have this id.
    """
    target, again = _restored(publication, CHECK, samples), publication.folder / AGAIN
    shutil.rmtree(again, ignore_errors=True)
    yield _bytes(target, publication.not_kept)
    done = start(target, "snakemake", "-n", "--cores", "1", **TEXT)
    nothing = "Nothing to be done" in done.stdout + done.stderr
    yield "state", "nothing to be done" if nothing else done.stdout, nothing
    _copy_without_bytes(target, again)
    drawn = _records(again, lambda path: path.parent.parent.name in DRAWN)
    yield "drawn", *remade(again, drawn)
    _bring(target, again, drawn.values())
    done = start(target, "dash_repro.audit", "--report", PAGE, "--no-remote", **TEXT)
    last = f"{(done.stdout + done.stderr).strip().splitlines()[-1]} ({target / PAGE})"
    yield "audit", last, done.returncode == 0
    yield "sampled", *remade(again, sets_of(again, samples))
    yield "code", _since(publication, target, publication.code[-1]), True


def vary(publication: Publication, setting: str, samples: str) -> Iterator[str]:
    """Make a set of samples of a published run again with another setting.

    Args:
        publication: what to vary, in a copy.
        setting: ``key=value`` of params.yaml.
        samples: the set's id; its metrics are made, and its network's calibration.

    Yields:
        How many instances of each stage were made, then the numbers of both.

    Raises:
        UserError: the setting is wrong, nothing has this id, or the run fails.
    """
    target = _restored(publication, VARIED, samples)
    records = target / RECORDS
    before = _records(target, lambda _: True)
    folders = {path.parent for path in before if _is_of(path, samples, SAMPLED[1:])}
    wanted = [_last(before, folder) for folder in sorted(folders)]
    run_module(target, "dash_repro", "params", "--set", setting)
    outs = [out for path in wanted for out in before[path]["outputs"]]
    run_module(target, "snakemake", "--profile", PROFILE, *outs)
    after = set(records.glob("*/*/*.json")) - before.keys()
    stages = Counter(path.parent.parent.name for path in after)
    made = ", ".join(f"{count} {stage}" for stage, count in sorted(stages.items()))
    yield f"made again for {setting}: {made or 'nothing, for nothing reads it'}"
    for path in wanted:
        for new in after & set(path.parent.glob("*.json")):
            pair = before[path]["outputs"], read_json(new)["outputs"]
            yield from _numbers(*pair, "with it")


def _restored(publication: Publication, name: str, samples: str) -> Path:
    """A new workspace of what is published; it must have these samples."""
    target = publication.folder / name
    shutil.rmtree(target, ignore_errors=True)
    publication.restore(target)
    folder = target / RECORDS / SAMPLED[0]
    if not samples or not (folder / samples).is_dir():
        raise UserError(
            f"no samples are called {samples!r}",
            str(folder),
            "take a folder's name from there",
        )
    return target


def _bytes(target: Path, not_kept: Collection[str]) -> tuple[str, str, bool]:
    """Fetch what the store has; only what is not kept may be absent."""
    done = start(target, "runledger", "pull", **TEXT)
    lines = done.stderr.splitlines()
    absent = [line for line in lines if line.startswith("missing: ")]
    missing = [
        line
        for line in absent
        if not any(fnmatchcase(line.split()[1], pattern) for pattern in not_kept)
    ]
    summary = done.stdout.splitlines()[-1] if done.stdout else done.stderr
    if absent:
        summary += f"; {len(absent)} files are not kept (not_kept says which)"
    return "bytes", "\n".join([summary, *missing]), not missing and bool(done.stdout)


def _copy_without_bytes(target: Path, again: Path) -> None:
    """A copy that takes bytes from the target's cache where it needs them."""
    run_git(target, "clone", "-q", str(target), str(again))
    shutil.copy2(target / ".dvc" / "config.local", again / ".dvc" / "config.local")
    cache = str(target / ".dvc" / "cache")
    run_module(again, "dvc", "cache", "dir", "-q", "--local", cache)


def _records(root: Path, wanted: Callable[[Path], bool]) -> dict[Path, Any]:
    paths = (root / RECORDS).glob("*/*/*.json")
    return {path: read_json(path) for path in paths if wanted(path)}


def sets_of(root: Path, samples: str) -> dict[Path, Any]:
    """Records of a set of samples, its metrics, and its network's calibration."""
    return _records(root, lambda path: _is_of(path, samples))


def _bring(target: Path, again: Path, records: Iterable[Mapping[str, Any]]) -> None:
    """Copy what was drawn again as published, so that the audit's page shows it."""
    for record in records:
        for name, out in record["outputs"].items():
            made = again / name
            if made.is_file() and md5_file(made) == out["md5"]:
                (target / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(made, target / name)


def _is_of(path: Path, samples: str, stages: Collection[str] = SAMPLED) -> bool:
    """Whether a record is of a set of samples, or of its network's calibration."""
    stage, instance = path.parent.parent.name, path.parent.name
    return stage in stages and f"{samples}-".startswith(f"{instance}-")


def remade(again: Path, before: Mapping[Path, Any]) -> tuple[str, bool]:
    """Make again what records are of; what came out, and whether it is as published.

    Bytes of samples and of what is measured of them may differ, for a processor of
    another kind rounds otherwise: the numbers decide. Drawings may differ only where
    libraries have other versions; then they are not compared. Tables may not.
    """
    for path in before:
        path.unlink()
    outs = {out: None for record in before.values() for out in record["outputs"]}
    done = start(again, "snakemake", "--profile", PROFILE, *outs, **TEXT)
    after = {
        folder: next(folder.glob("*.json"), None)
        for folder in sorted({path.parent for path in before})
    }
    if done.returncode or None in after.values():
        return done.stdout[-2000:] + done.stderr[-2000:], False
    numbers_of_both, other, good = [], {}, True
    for folder, path in after.items():
        # where an input's bytes differ, the record has another name
        old, new = before.get(path) or before[_last(before, folder)], read_json(path)
        differ = [
            name
            for name, out in old["outputs"].items()
            if out["md5"] != new["outputs"][name]["md5"]
        ]
        for name in differ:
            other.setdefault(_elsewhere(old, new), []).append(name)
        good &= all(agrees(name, old, new) for name in differ)
        numbers_of_both += _numbers(old["outputs"], new["outputs"])
    equal = len(outs) - sum(map(len, other.values()))
    count = f"{len(outs)} files made again, {equal} of equal bytes"
    listed = [f"other bytes{why}: {', '.join(it)}" for why, it in other.items()]
    return "\n".join([count, *listed, *numbers_of_both]), good


def _last(records: Mapping[Path, Any], folder: Path) -> Path:
    """The record of an instance that was made last; older code left the others."""
    paths = [path for path in records if path.parent == folder]
    return max(paths, key=lambda path: records[path]["run"]["end"])


def _elsewhere(old: Mapping[str, Any], new: Mapping[str, Any]) -> str:
    """What made an output's bytes then and now, where that differs."""
    was, now = (
        {**one["run"]["libraries"], "processor": one["run"]["device"]}
        for one in (old, new)
    )
    changed = [
        f"{name} {was.get(name, 'none')}, now {now.get(name, 'none')}"
        for name in sorted(was | now)
        if was.get(name) != now.get(name)
    ]
    return f" ({'; '.join(changed) or 'same kind of processor, same libraries'})"


def agrees(name: str, old: Mapping[str, Any], new: Mapping[str, Any]) -> bool:
    """Whether an output of other bytes says the same."""
    if name.endswith(".npz"):  # judged by the numbers made of it
        return True
    if name.endswith((".png", ".pdf")):
        return old["run"]["libraries"] != new["run"]["libraries"]
    if not name.endswith(MEASURED):
        return False
    was, now = (_values(one["outputs"][name]) for one in (old, new))
    return was.keys() == now.keys() and all(
        abs(now[key] - was[key]) <= _slack(was, key) for key in was
    )


def _slack(values: Mapping[str, float], key: str) -> float:
    """By how much a number may differ; a count may not."""
    value = values[key]
    if isinstance(value, int):  # of two that are as near, either may be named first
        return math.inf if key.startswith("closest.") else 0
    if _is_spread(key):
        of = key.replace("standard_error.", "").replace(".standard_error", ".value")
        return SAME_ERRORS * abs(value) + SAME_SHARE * abs(values.get(of, 0.0))
    return max(SAME_ERRORS * (_error(values, key) or 0.0), SAME_SHARE * abs(value))


def _is_spread(key: str) -> bool:
    return "standard_error" in key or key.endswith(".std")


def _numbers(
    old: Mapping[str, Any], new: Mapping[str, Any], what: str = "now"
) -> Iterator[str]:
    """Each metric of a file as published and as it is now."""
    for name in old:
        if not name.endswith(MEASURED):
            continue
        was, now = (_values(one[name]) for one in (old, new))
        for key in (key for key, value in was.items() if _is_shown(key, value)):
            short = key.removeprefix("metrics.").removesuffix(".value")
            values = f"{_with_error(was, key)}, {what} {_with_error(now, key)}"
            yield f"{short:18s}  published {values}"


def _values(out: Mapping[str, Any]) -> dict[str, float]:
    return numbers(json.loads(out["inline"]))


def _is_shown(key: str, value: float) -> bool:
    """Whether it is a metric: no count, no part of a list, not what tells a spread."""
    listed = any(part.isdecimal() for part in key.split("."))
    return isinstance(value, float) and not listed and not _is_spread(key)


def _with_error(values: Mapping[str, float], key: str) -> str:
    """A number of a metric or of calibration with its standard error, if it has one."""
    error = _error(values, key)
    return f"{values[key]:.5g}" + ("" if error is None else f" ± {error:.2g}")


def _error(values: Mapping[str, float], key: str) -> float | None:
    stem = key.removesuffix(".value")
    return values.get(
        f"standard_error.{key}" if stem == key else f"{stem}.standard_error"
    )


def numbers(value: Any, prefix: str = "") -> dict[str, float]:
    """{dotted key: number} of a tree; parts of a list are numbered."""
    found = {}
    for key, part in enumerate(value) if isinstance(value, list) else value.items():
        if isinstance(part, list | Mapping):
            found |= numbers(part, f"{prefix}{key}.")
        elif isinstance(part, int | float) and not isinstance(part, bool):
            found[f"{prefix}{key}"] = part
    return found


def _since(publication: Publication, target: Path, code: str) -> str:
    """Which modules of the run's records differ in the checkout, and how to go back."""
    paths = (target / RECORDS).glob("*/*/*.json")
    modules = {name for path in paths for name in read_json(path)["code_modules"]}
    changed = run_git(
        publication.root, "diff", "--name-only", code, "--", *sorted(modules)
    )
    date = run_git(publication.root, "show", "-s", "--format=%cs", code)
    names = changed.split()
    origin = f"made by commit {code[:12]} of {date}"
    if not names:
        return f"{origin}; the checkout has the same {len(modules)} modules"
    return (
        f"{origin}; {len(names)} of its {len(modules)} modules differ in the checkout "
        f"({', '.join(names)}). To have that code: git checkout {code[:12]}"
    )
