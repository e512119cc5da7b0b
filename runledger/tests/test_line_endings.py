"""Checkouts whose text files have CRLF line ends, as git makes them on request."""

from __future__ import annotations

import hashlib
from pathlib import Path

from toy import Toy

from runledger.audit.history import History
from runledger.canonical import read_text
from runledger.execution import Context, publish
from runledger.fingerprint import decoded, source_digest
from runledger.pipeline import Instance, Output
from runledger.records import Record
from runledger.store import hash_path

CRLF = ("-c", "core.autocrlf=true")


def files_in_git(toy: Toy) -> list[Path]:
    return [toy.root / name for name in toy.git("ls-files").splitlines()]


def test_git_hands_out_the_committed_bytes_whatever_its_settings(toy: Toy) -> None:
    other = toy.clone("other", *CRLF)
    assert other.git("config", "core.autocrlf").strip() == "true"
    for path in files_in_git(toy):
        copy = other.root / path.relative_to(toy.root)
        assert copy.read_bytes() == path.read_bytes(), path
    assert other.stale() == set()


def test_a_checkout_with_crlf_all_the_same_runs_and_settles(toy: Toy) -> None:
    (toy.root / ".gitattributes").unlink()
    toy.commit("no attributes")
    other = toy.clone("other", *CRLF)
    for name in ("data.txt", "results/code/measure.json", "src/toy/arithmetic.py"):
        assert b"\r\n" in (other.root / name).read_bytes(), "the test tests nothing"
    why = other.ledger("why", "measure/a")
    assert "input data.txt has other line ends than it had" in why
    assert "code:" not in why, "line ends are no change of code"
    assert "Traceback" not in other.snakemake()
    assert other.read("results/report/_/report.txt") == "numbers\na 20\nb 80\nc 60\n"
    assert other.stale() == set()
    assert "up to date" in other.dvc("status")


def test_the_audit_tells_line_ends_from_other_changes(toy: Toy) -> None:
    history, data = History(toy.root), (toy.root / "data.txt").read_bytes()
    head = history.head
    history.learn([(head, "data.txt")])

    def difference(content: bytes) -> str | None:
        return history.difference(head, "data.txt", hashlib.md5(content).hexdigest())

    assert difference(data) is None
    assert difference(data.replace(b"\n", b"\r\n")) == "data.txt (other line ends)"
    assert difference(data + b"more\n") == "data.txt"


def test_text_kept_in_a_record_has_the_line_ends_that_were_written(
    tmp_path: Path,
) -> None:
    """csv.writer writes CRLF; the record's copy must have the md5 that it states."""
    written = b"a,b\r\n1,2\rlone\n"
    (tmp_path / "staging").mkdir()
    (tmp_path / "staging/table.csv").write_bytes(written)
    output = Output("results/table/table.csv", cached=False)
    instance = Instance("table", "table", "", "", (), (), (output,))
    context = Context(tmp_path)
    outputs = publish(context, instance, tmp_path / "staging")
    assert (tmp_path / output.path).read_bytes() == written
    record = Record("table", "k", {}, {}, {}, outputs, {"end": "2026"})
    (tmp_path / output.path).unlink()
    context.records.write(instance, record)
    known = context.records.get(instance, "k")
    assert context.restore(known)
    assert (tmp_path / output.path).read_bytes() == written
    assert hash_path(tmp_path / output.path).md5 == known.outputs[output.path]["md5"]


def test_a_record_with_other_line_ends_is_still_whole(toy: Toy) -> None:
    (path,) = (toy.root / "results/records/report/_").glob("*.json")
    path.write_bytes(path.read_bytes().replace(b"\n", b"\r\n"))
    assert toy.stale() == set()


def test_code_is_read_as_python_reads_it(tmp_path: Path) -> None:
    text = '"""Doc."""\nGREETING = """über\nzwei"""\n'
    plain = source_digest(text)
    crlf = text.replace("\n", "\r\n")
    cookie = "# -*- coding: latin-1 -*-\n" + text
    assert source_digest(decoded(crlf.encode())) == plain
    assert source_digest(decoded(b"\xef\xbb\xbf" + text.encode())) == plain
    assert source_digest(decoded(cookie.encode("latin-1"))) == plain
    assert source_digest(decoded(text.replace("zwei", "drei").encode())) != plain
    (tmp_path / "text.txt").write_bytes(b"a\r\nb\n")
    assert read_text("text.txt", tmp_path) == "a\nb\n"
