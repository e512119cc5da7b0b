"""Why what is stale is stale: each edit once, with all that it makes run again."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping

from runledger.judge import Verdict

NEVER, UPSTREAM = "never run", " is stale"
_FILES = 3  # changed source files that are named


def reasons(
    asked: Iterable[str],
    verdicts: Mapping[str, Verdict],
    trainings: Collection[str] = (),
) -> str:
    """Return lines that say why instances are stale; "" if none are.

    An edit is shown once, with how many instances of each stage it reaches: those whose
    params it changes, what they need that never ran, and what reads them. Below are
    those that never ran for another reason, and what reads these.

    Args:
        asked: stale instances, each after what it reads.
        verdicts: by instance.
        trainings: stages that train; that an edit spares them is said.
    """
    names = list(asked)
    edits = _edits(names, verdicts)
    groups: dict[str, list[str]] = {}
    for name in names:
        groups.setdefault(edits.get(name, ""), []).append(name)
    rest = groups.pop("", [])
    new = [name for name in rest if _own(verdicts[name]) == [NEVER]]
    lines = []
    for edit, found in groups.items():
        stages = {verdicts[name].instance.stage for name in found}
        spared = "; no training" if trainings and stages.isdisjoint(trainings) else ""
        lines.append(f"  {edit}: {_counted(found, verdicts)}{spared}")
    lines += [f"  {NEVER}: {_counted(new, verdicts)}"] if new else []
    if len(rest) > len(new):
        count = len(rest) - len(new)
        lines.append(f"  {count} only because something they read is stale")
    return "\n".join([f"{len(names)} stale instances:", *lines]) if lines else ""


def _edits(names: Iterable[str], verdicts: Mapping[str, Verdict]) -> dict[str, str]:
    """{instance: the edit that it runs again for}, without those that have none."""
    edits: dict[str, str] = {}
    follow = []
    for name in names:
        own, above = _own(verdicts[name]), _parents(verdicts[name])
        if _follows(own):
            follow.append(name)
        else:
            edits[name] = _edit(own)
            _claim(above, edits[name], verdicts, edits)
    for name in follow:
        own, above = _own(verdicts[name]), _parents(verdicts[name])
        found = [edits[parent] for parent in above if parent in edits]
        if own != [NEVER] and (found or own):
            edits[name] = found[0] if found else _edit(own)
        if own and own != [NEVER]:
            _claim(above, edits[name], verdicts, edits)
    return edits


def _follows(own: Collection[str]) -> bool:
    """Whether an edit above may explain it: nothing but other names, or no run yet."""
    shown = _without_moved(own)
    return all(reason.startswith(("identity: ", NEVER)) for reason in shown)


def _without_moved(own: Collection[str]) -> list[str]:
    """Reasons, less the inputs that come and go because the identity names others."""
    if not any(reason.startswith("identity: ") for reason in own):
        return list(own)
    return [reason for reason in own if not reason.endswith((" is gone", " is new"))]


def _claim(
    names: Iterable[str],
    edit: str,
    verdicts: Mapping[str, Verdict],
    edits: dict[str, str],
) -> None:
    """What an edited instance needs and never ran, runs for the edit."""
    for name in names:
        if name in verdicts and name not in edits and _own(verdicts[name]) == [NEVER]:
            edits[name] = edit
            _claim(_parents(verdicts[name]), edit, verdicts, edits)


def _own(verdict: Verdict) -> list[str]:
    return [reason for reason in verdict.reasons if not reason.endswith(UPSTREAM)]


def _parents(verdict: Verdict) -> list[str]:
    found = [reason for reason in verdict.reasons if reason.endswith(UPSTREAM)]
    return [reason.removesuffix(UPSTREAM) for reason in found]


def _edit(own: Iterable[str]) -> str:
    """One text for what changed; an identity that follows from params is not shown."""
    own = _without_moved(list(own))
    params = [reason for reason in own if reason.startswith("params: ")]
    shown = [r for r in own if not (params and r.startswith("identity: "))]
    return "; ".join(_short(reason.removeprefix("params: ")) for reason in shown)


def _counted(names: list[str], verdicts: Mapping[str, Verdict]) -> str:
    if len(names) == 1:
        return names[0]
    counts = Counter(verdicts[name].instance.stage for name in names)
    return ", ".join(f"{count} {stage}" for stage, count in counts.items())


def _short(reason: str) -> str:
    """Cut a long list of changed source files."""
    files = reason.removeprefix("code: ").split(", ")
    if not reason.startswith("code: ") or len(files) <= _FILES + 1:
        return reason
    return f"code: {', '.join(files[:_FILES])}, +{len(files) - _FILES}"
