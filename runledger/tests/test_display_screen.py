"""How a run is drawn on terminals of any size and kind, and written into logs."""

from __future__ import annotations

import io
import re

import pytest
from rich.console import Console

from runledger.display.run import Run, Task
from runledger.display.screen import Lines, Terminal, open_screen


class Tty(io.StringIO):
    """A stream that says it is a terminal."""

    encoding = "utf-8"

    def isatty(self) -> bool:
        return True


def drawn(width: int, height: int, count: int, monkeypatch, **env: str) -> str:
    for key, value in {"COLUMNS": width, "LINES": height, **env}.items():
        monkeypatch.setenv(key, str(value))
    tasks = {
        number: Task(f"train_student digits: dash, number {number}" + "y" * 60, "t")
        for number in range(count)
    }
    run = Run(tasks)
    for number in tasks:
        run.start(number)
    terminal = Terminal(Tty(), plain=False)
    terminal.show(run)
    terminal.line("x" * 200)
    terminal.show(run)
    terminal.close()
    return terminal.console.file.getvalue()


@pytest.mark.parametrize(("width", "height"), [(100, 30), (80, 24), (40, 10), (20, 4)])
def test_the_screen_fits_any_terminal(width: int, height: int, monkeypatch) -> None:
    text = drawn(width, height, 40, monkeypatch, TERM="xterm", LC_ALL="C.UTF-8")
    console = Console(width=width)
    frames = text.split("\x1b[?25h")[1].split("x" * 200)[0]
    lines = [ln.replace("\r", "") for ln in _plain(frames).split("\n") if ln.strip()]
    assert all(console.measure(line).maximum <= width for line in lines), lines
    assert len(lines) <= max(height, 4)
    assert "and " in lines[-1]


def _plain(text: str) -> str:
    return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", text)


def test_the_cursor_is_never_left_hidden(monkeypatch) -> None:
    text = drawn(80, 24, 2, monkeypatch, TERM="xterm")
    hidden, visible = text.rfind("\x1b[?25l"), text.rfind("\x1b[?25h")
    assert visible > hidden
    first = text.index("\x1b[?25l")
    assert text[first:].startswith("\x1b[?25l\x1b[?25h"), "a kill -9 needs no repair"


def test_no_colour_and_no_unicode_where_they_are_not_wanted(monkeypatch) -> None:
    text = drawn(80, 24, 2, monkeypatch, TERM="xterm", NO_COLOR="1", LC_ALL="C")
    assert "\x1b[3" not in text.replace("\x1b[3;", "")
    assert text.isascii()
    coloured = drawn(80, 24, 2, monkeypatch, TERM="xterm", LC_ALL="en_US.UTF-8")
    assert not coloured.isascii()


def test_only_a_real_terminal_is_redrawn(monkeypatch) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    live = open_screen(Tty(), False, False, {"TERM": "xterm"})
    assert isinstance(live, Terminal)
    for stream, dryrun, env in (
        (io.StringIO(), False, {"TERM": "xterm", "FORCE_COLOR": "1"}),
        (Tty(), False, {"TERM": "dumb"}),
        (Tty(), False, {}),
        (Tty(), True, {"TERM": "xterm"}),
    ):
        assert isinstance(open_screen(stream, False, dryrun, env), Lines)
    assert open_screen(io.StringIO(), False, False, {}).every == 30


def test_names_that_a_stream_cannot_spell_do_not_stop_it() -> None:
    stream = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    Lines(stream).line("train ü")
    stream.seek(0)
    assert "train ?" in stream.read()
