"""The table of the README, of what other tools do, is what they do."""

from __future__ import annotations

from pathlib import Path

import compare
import pytest
import warm
from tools import Dvc, Runledger, Snakemake, SnakemakeCache, Tool

TIME = "processor time"


def told() -> dict[str, dict[str, str]]:
    """{tool: {row: cell}} of the README, and the column of what is needed."""
    table = compare.README.read_text(encoding="utf-8").split(compare.MARK)[1]
    lines = [line.strip("|").split("|") for line in table.strip().splitlines()]
    (_, *names), _, *rows = [[cell.strip() for cell in line] for line in lines]
    columns = zip(*[cells for _, *cells in rows], strict=True)
    found = [dict(zip([row[0] for row in rows], c, strict=True)) for c in columns]
    return dict(zip(names, found, strict=True))


def start(self: Tool, *command: str) -> warm.Program:
    """Start a program as a tool does, from a process that has imported it."""
    words = ("python", "-m", "runledger") if command[0] == "runledger" else command[:1]
    return warm.start((*words, *command[1:]), self.root, self.environment())


@pytest.mark.slow
@pytest.mark.thorough
@pytest.mark.parametrize("kind", [Snakemake, SnakemakeCache, Dvc, Runledger])
def test_a_tool_does_what_the_table_says(
    kind: type[Tool], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Tool, "start", start)
    found = compare.cells(kind, tmp_path)
    row = {what: cell for what, cell in found.items() if not what.startswith(TIME)}
    assert set(row) == set(compare.SCENARIOS)
    expected = told()[kind.name]
    assert row == {what: expected[what].strip("*") for what in row}


def test_the_table_has_every_tool_and_row_and_marks_what_is_best() -> None:
    columns = told()
    assert list(columns) == ["needed", *(kind.name for kind in compare.TOOLS)]
    needed = columns.pop("needed")
    bare = {
        name: {what: cell.strip("*") for what, cell in column.items()}
        for name, column in columns.items()
    }
    assert [what for what in needed if not what.startswith(TIME)] == [
        *compare.SCENARIOS
    ]
    table = compare.README.read_text(encoding="utf-8").split(compare.MARK)[1]
    assert compare.table(bare) == table.lstrip("\n").rstrip("\n") + "\n"


def test_an_error_of_a_tool_is_no_number(tmp_path: Path) -> None:
    class Broken(Snakemake):
        """Its command fails."""

        def command(self) -> tuple[str, ...]:
            return ("python", "-c", "raise SystemExit('it broke')")

    tool = Broken(tmp_path)
    tool.root.mkdir()
    assert compare.again(tool) == "error: it broke"
    with pytest.raises(RuntimeError, match="it broke"):
        tool.run()
