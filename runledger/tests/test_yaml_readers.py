"""A YAML file has one reading: what PyYAML and ruamel.yaml differ on is refused."""

from __future__ import annotations

import random

import pytest
import yaml
from ruamel.yaml import YAML

from runledger.errors import UserError
from runledger.locktext import lock_text, read_lock
from runledger.project import load_pipeline
from runledger.yamlfile import load_yaml, parse_yaml

READERS = {  # the two that are asked, and the two without C, which know other rules
    "PyYAML": lambda text: yaml.load(text, yaml.CSafeLoader),
    "PyYAML, pure": lambda text: yaml.load(text, yaml.SafeLoader),
    "ruamel": lambda text: YAML(typ="safe").load(text),
    "ruamel, pure": lambda text: YAML(typ="safe", pure=True).load(text),
}
REFUSED = {  # text: (line, words of the message)
    "a: 1\nb: 2\na: 3\n": (3, "a is there twice, first in line 1"),
    "s:\n  a: 1\n  'a': 2\n": (3, "s.a is there twice, first in line 2"),
    "s: {a: 1}\nt: 2\ns: {b: 1}\n": (3, "s is there twice, first in line 1"),
    "d: &d {p: 1}\nf:\n  <<: *d\n  <<: *d\n": (4, "f.<< is there twice"),
    "a: yes\n": (1, "yes is text to YAML 1.2 (DVC); write true, false or 'yes'"),
    "s:\n  - x\n  - off\n": (3, "s.1: off is text to YAML 1.2"),
    "b: 1\nNo: 1\n": (2, "No: the key is not text"),
    "a: 010\n": (1, "a: 010 is another number, or text, to YAML 1.2"),
    "a: 0o10\n": (1, "'0o10' to YAML 1.1, 8 to YAML 1.2 (DVC); write 8"),
    "a: 1_000\n": (1, "1_000 is another number, or text"),
    "a: 0b11\n": (1, "0b11 is another number, or text"),
    "a: 1:30\n": (1, "1:30 is another number, or text"),
    "a: 1e-4\n": (1, "a: '1e-4' to YAML 1.1, 0.0001 to YAML 1.2 (DVC); write 0.0001"),
    "a: 1.5e3\n": (1, "write 1500.0"),
    "a: -.5\n": (1, "write -0.5"),
    "a: 2026-01-31\n": (1, "'2026-01-31' is of type date; in quotes it is text"),
    "a: .nan\n": (1, "a: .nan is not a finite number"),
    "s:\n  a: [1, -.inf]\n": (2, "s.a.1: -.inf is not a finite number"),
    "a: 1.0e+400\n": (1, "not a finite number"),
    "a: 1\nb:\n  c:\t2\n": (3, "a tab"),
    "a: 1\t# comment\n": (1, "a tab"),
    "a: &x 1\nb: &x 2\n": (2, "found duplicate anchor"),
    "a: &x [*x]\n": (1, "a.0: it contains itself"),
    "a: *x\n": (1, "found undefined alias"),
    "a: 1\n---\nb: 2\n": (2, "expected a single document"),
    "1: a\n": (1, "1: the key is not text"),
    "true: a\n": (1, "true: the key is not text"),
    "~: a\n": (1, "~: the key is not text"),
    "? [a]\n: 1\n": (1, "the key is not text"),
    "a: !own 1\n": (1, "'1' is of type !own"),
    "a: !!binary aGk=\n": (1, "of type !!binary"),
    "a: !!set {x, y}\n": (1, "of type !!set"),
    "a: =\n": (1, "of type !!value"),
    "a: {<<: 1}\n": (1, "expected a mapping"),
    "a: 1\x85b: 2\n": (1, "'\\x85'"),
    "a: x\u2028b: 2\n": (1, "'\\u2028'"),
    "a: 1\rb: 2\n": (1, "old Macs"),
    "%YAML 1.2\n---\na: on\n": (3, "on is text"),
    "x: 1\na: {b:1}\n": (2, "not valid YAML for DVC"),
    "a: [1,\nb: 2\n": (3, "not valid YAML"),
    "a: '\x00'\n": (0, "not valid YAML"),
    f"a: {'1' * 5000}\n": (0, "not valid YAML"),
}
ACCEPTED = [
    "a: {p: 1, q: [2.5, true, null, x]}\n",
    "a: 1.0e-04\nb: 0x1F\nc: -3\nd: +2\ne: 1.\nf: .5\n",
    "d: &d {p: 1, q: 2}\nf:\n  q: 3\n  <<: *d\n",
    "d: &d {p: 1}\ne: &e {p: 2, r: 3}\nf: {<<: [*d, *e]}\n",
    "a: 'yes'\nb: \"1e-4\"\nc: '2026-01-31'\n'on': '010'\n",
    "y: n\n",  # of the words of YAML 1.1 these two are text to all readers
    "\ufeffa: 1\n",
    "a: 1\r\nb: 2\r\n",
    "a: >\n  several\n  words\n",
    "a: 3d_model\nb: 58cb9b6ec323ed63459a\nc: '12345e67'\n",
    "",
]


@pytest.mark.parametrize("text", REFUSED, ids=lambda text: repr(text[:24]))
def test_two_readings_are_refused_with_the_line(text: str) -> None:
    line, words = REFUSED[text]
    with pytest.raises(UserError) as caught:
        parse_yaml(text, "params.yaml")
    assert words in caught.value.what
    assert caught.value.where == "params.yaml" and caught.value.remedy
    if line:
        assert f"line {line}" in caught.value.what


@pytest.mark.parametrize("text", ACCEPTED)
def test_what_is_accepted_is_the_same_to_every_reader(text: str, tmp_path) -> None:
    path = tmp_path / "some.yaml"
    path.write_bytes(text.encode())
    for name, read in READERS.items():
        assert typed(load_yaml(path)) == typed(read(text)), name


def typed(value: object) -> object:
    """A value with its types, so that 1, 1.0 and True differ."""
    if isinstance(value, dict):
        return {typed(key): typed(entry) for key, entry in value.items()}
    if isinstance(value, list):
        return [typed(entry) for entry in value]
    return type(value).__name__, repr(value)


@pytest.mark.slow
def test_random_scalars_are_refused_or_read_alike_by_all() -> None:
    """Words of the characters that numbers, dates and truth values are made of."""
    rng, accepted = random.Random(0), 0
    words = ["yes", "no", "on", "off", "true", "null", "inf", "nan", "0x", "0o", "0b"]
    for _ in range(3000):
        parts = rng.choices(
            [*"0123456789", *"0189+-._:eEx~", *words],
            k=rng.choice((1, 2, 3, 4, 5, 6, 9)),
        )
        text = f"key: {''.join(parts)}\n"
        try:
            value = parse_yaml(text, "").value
        except UserError:
            continue
        accepted += 1
        for name, read in READERS.items():
            assert typed(read(text)) == typed(value), (name, text)
    assert 500 < accepted < 2900  # the rule neither refuses nor takes everything


def test_every_fault_of_a_file_is_listed() -> None:
    with pytest.raises(UserError) as caught:
        parse_yaml("a: yes\nb: .inf\nc: 1\nc: 2\n", "")
    assert [said[:7] for said in caught.value.what.splitlines()] == [
        "line 4:",
        "line 1:",
        "line 2:",
    ]


def test_not_utf8_is_named_with_its_line(tmp_path) -> None:
    path = tmp_path / "params.yaml"
    path.write_bytes(b"a: 1\nb: caf\xe9\n")
    with pytest.raises(UserError, match="not UTF-8: line 2 has the byte 0xe9"):
        load_yaml(path)


def test_places_of_what_is_inherited() -> None:
    text = "a: &a\n  x: 1\n  y: {z: 2}\nb:\n  <<: *a\n  x: 3\nc: {<<: [*a]}\nd: *a\n"
    document = parse_yaml(text, "")
    assert document.line(("b", "x")) == 6 and document.line(("b", "y", "z")) == 3
    assert document.origin(("b", "x")) == ("b", "x")
    assert document.origin(("b", "y", "z")) == ("a", "y", "z")
    assert document.origin(("c", "x")) == document.origin(("d", "x")) == ("a", "x")
    assert document.origin(("c", "w")) == ("a", "w")  # where it would come from
    assert document.line(("c", "w")) == 7


def test_a_doubled_stage_of_dvc_yaml_is_refused(tmp_path) -> None:
    """Of a project whose dvc.yaml is written by hand."""
    (tmp_path / "params.yaml").write_text("a: 1\n")
    stage = "  measure: {cmd: x, outs: [y]}\n"
    (tmp_path / "dvc.yaml").write_text(f"stages:\n{stage}{stage}")
    with pytest.raises(UserError, match=r"stages.measure is there twice"):
        load_pipeline(tmp_path)


# dvc.lock, which DVC writes and reads as YAML 1.2


LOCKED = [
    *(
        "yes",
        "no",
        "on",
        "off",
        "y",
        "true",
        "null",
        "~",
        "",
        "1",
        "010",
        "0o17",
        "1_0",
    ),
    *("1e-4", "1.5e3", "-.5", ".inf", ".nan", "0x1f", "2026-01-31", "1:30", "<<", "="),
    "12345678901234567890123456789e12",  # may be an md5
    "98765432109876543210987654321098",
    *("- x", "a: b", "# x", "'q'", "two\nlines", " blank ", "é中", "%x", "@x", "1e"),
    *(True, False, None, 0, 8, -3, 10**20, 0.1, 4.0, 1e-06, 1e20, -2.5e-300),
]


def test_dvc_reads_what_we_write_into_its_lock() -> None:
    content = {"schema": "2.0", "stages": {"a@x": {"outs": LOCKED}, "12e3": LOCKED}}
    text = lock_text(content)
    assert typed(READERS["ruamel"](text)) == typed(content)
    assert typed(READERS["PyYAML"](text)) == typed(content)
    assert typed(read_lock(text)) == typed(content)


def test_we_read_what_dvc_writes_into_its_lock() -> None:
    from dvc.utils.serialize import dumps_yaml

    content = {"stages": {f"s{i}": {"value": value} for i, value in enumerate(LOCKED)}}
    assert typed(read_lock(dumps_yaml(content))) == typed(content)


def test_random_texts_survive_the_lock() -> None:
    rng = random.Random(1)
    texts = ["".join(rng.choices("0123456789eE+-._xob:", k=8)) for _ in range(2000)]
    texts += ["".join(rng.choices("0123456789e", k=32)) for _ in range(2000)]
    text = lock_text(texts)
    assert READERS["ruamel"](text) == read_lock(text) == texts
    assert sum(line.startswith("- '") for line in text.splitlines()) < 3500
