"""The claims of the paper's text as data; paper/claims.yaml says what its keys mean."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from dash_repro.paper.formula import FormulaError
from runledger import read_text

KINDS = {  # why only a run at the paper's scale can test them; "": every run can
    "order": "",
    "level": "it is about levels, which belong to the paper’s data and training",
    "size": "it is about sizes of the paper’s networks",
    "setting": "it is about settings of the paper’s protocol",
    "observation": "it is about the paper’s printed tables",
}


@dataclass(frozen=True)
class Claim:
    """One claim; see the head of paper/claims.yaml.

    Attributes:
        id, sentence: what is claimed, in our words.
        let: name -> formula, evaluated in order.
        given: formulas that must be above zero for the claim to mean anything.
        effects: formulas that the claim says are above zero.
        show: names whose values are printed.
        our_let: formulas that replace `let`'s on our side.
        kind: one of KINDS.
        remark: what a reader should know.
        untestable: why neither side can test it; "" if one can.
        expect: what the paper's own tables give: {"verdict": ..., name: number}.
        digits: decimals of the printed values.
    """

    id: str
    sentence: str
    let: Mapping[str, str] = field(default_factory=dict)
    given: Sequence[str] = ()
    effects: Sequence[str] = ()
    show: Sequence[str] = ()
    our_let: Mapping[str, str] = field(default_factory=dict)
    kind: str = "order"
    remark: str = ""
    untestable: str = ""
    expect: Mapping[str, Any] = field(default_factory=dict)
    digits: int = 2

    @property
    def formulas(self) -> dict[str, str]:
        """The names' formulas on our side."""
        return {**self.let, **self.our_let}


def load_claims(path: Path | str) -> list[Claim]:
    """Read claims.yaml.

    Raises:
        FormulaError: a claim with unknown or missing keys, or an id used twice.
    """
    import yaml  # not for the Snakefile, which reads what is registered

    entries = yaml.safe_load(read_text(path))
    known = {entry.name for entry in fields(Claim)}
    for entry in entries:
        needed = {"id", "sentence"}
        if "untestable" not in entry:
            needed |= {"let", "effects", "show"}
        wrong = (needed - set(entry)) | (set(entry) - known)
        if wrong or entry.get("kind", "order") not in KINDS:
            raise FormulaError(
                f"claim {entry.get('id')!r} lacks or should not have "
                f"{sorted(wrong) or entry['kind']}",
                str(path),
                f"give it {sorted(needed)}; it may have {sorted(known)}, and a kind of "
                f"{sorted(KINDS)}",
            )
    ids = [entry["id"] for entry in entries]
    if len(set(ids)) < len(ids):
        raise FormulaError("two claims have the same id", str(path), "rename one")
    return [Claim(**entry) for entry in entries]
