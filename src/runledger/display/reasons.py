"""Why what is stale is stale: each change once, however many instances it reaches."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from runledger.judge import Verdict

_FILES = 3  # changed source files that are named


def reasons(asked: Iterable[str], verdicts: Mapping[str, Verdict]) -> str:
    """Return lines that say why instances are stale; "" if none are.

    Changes are told in full, to one instance by its name, to several of a stage by
    their number; what never ran and what only follows is counted.
    """
    names = list(asked)
    changed: dict[tuple[str, str], list[str]] = {}
    new = follows = 0
    for name in names:
        own = [r for r in verdicts[name].reasons if not r.endswith(" is stale")]
        if own == ["never run"]:
            new += 1
        elif own:
            key = verdicts[name].instance.stage, "; ".join(map(_short, own))
            changed.setdefault(key, []).append(name)
        else:
            follows += 1
    lines = []
    for (stage, why), members in changed.items():
        who = members[0] if len(members) == 1 else f"{len(members)} {stage}"
        lines.append(f"  {who}: {why}")
    lines += [f"  {new} never run"] if new else []
    if follows:
        lines.append(f"  {follows} only because something they read is stale")
    return "\n".join([f"{len(names)} stale instances:", *lines]) if lines else ""


def _short(reason: str) -> str:
    """Cut a long list of changed source files."""
    files = reason.removeprefix("code: ").split(", ")
    if not reason.startswith("code: ") or len(files) <= _FILES + 1:
        return reason
    return f"code: {', '.join(files[:_FILES])}, +{len(files) - _FILES}"
