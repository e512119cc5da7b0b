"""What a Snakefile says and no record could be kept of is refused by name."""

from pathlib import Path

import pytest

from runledger import project
from runledger.errors import UserError

ALL = "rule all:\n    input: 'out.txt'\n"
CASES = {
    "checkpoint": (
        "checkpoint a:\n    output: 'out.txt'\n    shell: 'echo > {output}'\n",
        "checkpoints cannot be recorded",
    ),
    "no output": (
        "rule a:\n    input: 'in.txt'\n    shell: 'mail me < {input}'\n",
        "no output",
    ),
    "no command": ("rule a:\n    output: touch('out.txt')\n", "no command"),
    "no name": ("rule:\n    output: 'out.txt'\n    shell: 'true'\n", "has no name"),
    "temp": (
        "rule a:\n    output: temp('out.txt')\n    shell: 'true'\n",
        "out.txt is temp()",
    ),
    "protected": (
        "rule a:\n    output: protected('out.txt')\n    shell: 'true'\n",
        "out.txt is protected()",
    ),
    "pipe": (
        "rule a:\n    output: pipe('out.txt')\n    shell: 'true'\n",
        "out.txt is pipe()",
    ),
    "ancient": (
        "rule a:\n    input: ancient('in.txt')\n    output: 'out.txt'\n"
        "    shell: 'true'\n",
        "in.txt is ancient()",
    ),
    "ancient by a function": (
        "rule a:\n    input: lambda wildcards: ancient('in.txt')\n"
        "    output: 'out.txt'\n    shell: 'true'\n",
        "in.txt is ancient()",
    ),
    "shadow": (
        "rule a:\n    output: 'out.txt'\n    shadow: 'minimal'\n    shell: 'true'\n",
        "declares shadow",
    ),
    "cache": (
        "rule a:\n    output: 'out.txt'\n    cache: True\n    shell: 'true'\n",
        "declares cache",
    ),
    "outside": (
        "rule a:\n    output: '../out.txt'\n    shell: 'true'\n",
        "../out.txt is outside",
    ),
    "two rules": (
        "rule a:\n    output: 'out.txt'\n    shell: 'true'\n"
        "rule b:\n    output: 'out.txt'\n    shell: 'true'\n",
        "two rules make out.txt",
    ),
    "input of itself": (
        "rule a:\n    input: 'out.txt'\n    output: 'out.txt'\n    shell: 'true'\n",
        "is an input of itself",
    ),
    "cycle": (
        "rule a:\n    input: 'b.txt'\n    output: 'out.txt'\n    shell: 'true'\n"
        "rule b:\n    input: 'out.txt'\n    output: 'b.txt'\n    shell: 'true'\n",
        "is an input of itself",
    ),
    "missing input": (
        "rule a:\n    input: 'gone.txt'\n    output: 'out.txt'\n    shell: 'true'\n",
        "gone.txt does not exist, and no rule can make it",
    ),
    "log as input": (
        "rule a:\n    input: 'b.log'\n    output: 'out.txt'\n    shell: 'true'\n"
        "rule b:\n    output: 'b.txt'\n    log: 'b.log'\n    shell: 'true'\n",
        "b.log is read as an input, and is a log",
    ),
    "missing script": (
        "rule a:\n    output: 'out.txt'\n    script: 'scripts/gone.py'\n",
        "its code scripts/gone.py does not exist",
    ),
    "missing program": (
        "rule a:\n    output: 'out.txt'\n"
        "    shell: 'python scripts/gone.py > {output}'\n",
        "its code scripts/gone.py does not exist",
    ),
    "missing environment": (
        "rule a:\n    output: 'out.txt'\n    conda: 'gone.yaml'\n    shell: 'true'\n",
        "its code gone.yaml does not exist",
    ),
    "param by threads": (
        "rule a:\n    output: 'out.txt'\n"
        "    params: n=lambda wildcards, threads: threads\n    shell: 'true'\n",
        "depends on threads or resources",
    ),
    "param that is no value": (
        "rule a:\n    output: 'out.txt'\n    params: f=object()\n    shell: 'true'\n",
        "param f is a object",
    ),
    "unknown name": (
        "rule a:\n    output: 'out.txt'\n    shell: 'echo {gone} > {output}'\n",
        "its shell command cannot be filled in",
    ),
    "folder in folder": (
        "rule a:\n    input: 'd/x.txt'\n    output: 'out.txt'\n    shell: 'true'\n"
        "rule b:\n    output: directory('d')\n    shell: 'true'\n"
        "rule c:\n    output: 'd/x.txt'\n    shell: 'true'\n",
        "d/x.txt of c lies in d",
    ),
    "one name for two": (
        "rule a:\n    input: 'x.1.txt', 'x_1.txt'\n    output: 'out.txt'\n"
        "    shell: 'true'\n"
        "rule b:\n    output: 'x{n}.txt'\n    shell: 'true'\n",
        "give one name, b-_1",
    ),
}


@pytest.fixture
def reading(tmp_path, monkeypatch):
    """Return a function that reads a Snakefile in a folder with in.txt and scripts."""
    from runledger.workflows.hooks import read

    monkeypatch.chdir(tmp_path)
    (tmp_path / "in.txt").touch()
    (tmp_path / "scripts").mkdir()

    def read_text(text: str, settings: str = ""):
        (tmp_path / "runledger.toml").write_text(settings)
        (tmp_path / "Snakefile").write_text(text)
        project.settings.cache_clear()
        return read(Path.cwd(), tmp_path / "Snakefile")

    return read_text


@pytest.mark.parametrize("case", CASES)
def test_refused_by_name(reading, case):
    rules, words = CASES[case]
    with pytest.raises(UserError) as caught:
        reading(ALL + rules)
    assert words in caught.value.what
    assert caught.value.remedy
    if case != "no name" and case != "folder in folder":
        assert "rule " in caught.value.where and "Snakefile" in caught.value.where


def test_the_same_rules_without_the_fault_are_read(reading):
    """The refusals above are not for what all cases have in common."""
    pipeline = reading(
        ALL + "rule a:\n    input: 'in.txt'\n    output: 'out.txt'\n"
        "    params: f=lambda wildcards, input: len(input)\n    threads: 4\n"
        "    shell: 'wc {input} -j {threads} {params.f} > {output}'\n"
    )
    assert pipeline["a"].values == {"f": 1}
    assert pipeline["a"].cmd == "wc {input} -j {threads} {params.f} > {output}"
    assert pipeline.goals == {"all": {"a"}}


def test_a_rule_that_is_left_alone_may_lack_an_output(reading):
    rules = "rule clean:\n    shell: 'rm -f out.txt'\n"
    rules += "rule a:\n    output: 'out.txt'\n    shell: 'true'\n"
    assert list(reading(ALL + rules, 'unrecorded = ["clean"]').instances) == ["a"]


def test_ruleorder_and_missing_inputs_choose_a_rule_as_in_snakemake(reading):
    rules = (
        "ruleorder: b > a\n"
        "rule a:\n    output: 'out.txt'\n    shell: 'echo a > {output}'\n"
        "rule b:\n    output: '{x}.txt'\n    shell: 'echo b > {output}'\n"
    )
    assert list(reading(ALL + rules).instances) == ["b-out"]
    rules = (
        "rule a:\n    input: '{x}.raw'\n    output: '{x}.txt'\n    shell: 'true'\n"
        "rule b:\n    output: '{x}.txt'\n    shell: 'true'\n"
    )
    assert list(reading(ALL + rules).instances) == ["b-out"]


def test_code_named_by_patterns_counts_and_must_be_there(reading, tmp_path):
    rules = "rule a:\n    output: 'out.txt'\n    shell: 'make && ./tool > {output}'\n"
    settings = '[code]\na = ["src/*.c"]\n'
    with pytest.raises(UserError, match=r"no file is called src/\*.c"):
        reading(ALL + rules, settings)
    (tmp_path / "src").mkdir()
    (tmp_path / "src" / "tool.c").write_text("int main() { return 0; }\n")
    before = reading(ALL + rules, settings)["a"].modules
    assert list(before) == ["src/tool.c"]
    (tmp_path / "src" / "tool.c").write_text("int main() { return 1; }\n")
    assert reading(ALL + rules, settings)["a"].modules != before
    with pytest.raises(UserError, match="there is no rule b"):
        reading(ALL + rules, '[code]\nb = ["src/*.c"]\n')


def test_a_run_block_counts_with_what_it_names(reading):
    rules = (
        "config = {'least': 3, 'other': 1}\nFACTOR = 2\n\n\n"
        "def twice(x):\n    return FACTOR * x\n\n\n"
        "rule a:\n    output: 'out.txt'\n    run:\n"
        "        print(twice(config['least']), file=open(output[0], 'w'))\n"
    )
    was = reading(ALL + rules)["a"]
    assert was.values == {"config least": 3}
    for old, new, same in (
        ("FACTOR = 2", "FACTOR = 3", False),
        ("return FACTOR * x", "return FACTOR + x", False),
        ("print(twice", "print(1 + twice", False),
        ("return FACTOR * x", "return FACTOR * x  # double", True),
        ("rule a:", "def unused():\n    pass\n\n\nrule a:", True),
        ("'other': 1", "'other': 2", True),
    ):
        assert old in rules
        now = reading(ALL + rules.replace(old, new))["a"]
        assert (now.modules == was.modules) == same, new
