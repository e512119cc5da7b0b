"""What a run says, from recorded events of Snakemake, and the plugin that shows it."""

from __future__ import annotations

import io
import json
import logging
from pathlib import Path
from types import SimpleNamespace

import pytest

from runledger.display.display import Display
from runledger.display.run import Run, Task, members
from runledger.display.screen import Lines
from runledger.reporting import append_report, report_path


def report(root: Path, name: str, state: str) -> None:
    append_report(report_path(root, *name.split("@")), "", {"state": state})


def record(event: str | None, msg: object = "", **extra: object) -> logging.LogRecord:
    level = extra.pop("level", logging.INFO)
    made = logging.LogRecord("snakemake", level, "", 1, msg, (), None)
    vars(made).update(extra, **({"event": event} if event else {}))
    return made


def job_info(jobid: int, rule: str, **extra: object) -> logging.LogRecord:
    known = {"wildcards": {}, "input": [], "output": ["x"], "log": ["l"], **extra}
    return record("job_info", jobid=jobid, rule_name=rule, **known)


def shown(display: Display, *records: logging.LogRecord) -> str:
    for entry in records:
        display.handle(entry)
    display.close()
    return display.screen.stream.getvalue()


def display(root: Path, dryrun: bool = False) -> Display:
    def give_up(error: BaseException) -> None:
        raise error

    made = Display(Lines(io.StringIO(), 1e9, stamped=False), dryrun, give_up)
    made.root = root
    return made


def bundle_run(root: Path) -> Run:
    names = [f"train_student@digits-{n}-w12-s42" for n in ("dash", "no_un", "gap")]
    task = Task("train_student digits: 3", "train_student", members(root, names))
    return Run({7: task, 8: Task("all", "all", shown=False)})


FAILED = {
    "jobid": 7,
    "rule_name": "train_student_digits_1of1",
    "rule_msg": None,
    "log": ["results/logs/train_student/train_student_digits_1of1.log"],
    "level": logging.ERROR,
}
CALLED = (
    'RuleException:\nCalledProcessError in file "workflow/rules/lineage.smk", line 114:'
    "\nCommand 'set -euo pipefail;  exec python stages/train_student.py --recipe a b c "
    "> results/logs/train_student/train_student_digits_1of1.log 2>&1' "
)


def test_noise_goes_and_what_is_not_known_stays(tmp_path: Path) -> None:
    text = shown(
        display(tmp_path),
        record(None, "Building DAG of jobs..."),
        record(None, "Select jobs to execute..."),
        record("resources_info", "Provided cores: 2", cores=2),
        record("run_info", "Job stats:\njob count", stats={}),
        record("shellcmd", "Shell command: x", shellcmd="x"),
        record(None, "5 stale instances:\n  measure@a: scale: 10 -> 11"),
        record(None, "something is odd", level=logging.WARNING),
    )
    assert text == (
        "5 stale instances:\n  measure@a: scale: 10 -> 11\nsomething is odd\n"
    )


def test_a_failed_bundle_names_members_reason_and_remedy(tmp_path: Path) -> None:
    run = bundle_run(tmp_path)
    first, second, third = (member.name for member in run.tasks[7].members)
    folder = tmp_path / "results/.state/failures"
    folder.mkdir(parents=True)
    note = {"reason": "the loss is nan", "where": "step 20", "remedy": "lower lr"}
    (folder / f"{second}.json").write_text(json.dumps({**note, "frozen": "x"}))
    view = display(tmp_path)
    view.handle(record(None, "1 job", runledger=run))
    view.handle(job_info(7, FAILED["rule_name"]))
    report(tmp_path, first, "done")
    report(tmp_path, second, "failed")
    report(tmp_path, third, "open")
    called = record("error", CALLED + "returned non-zero exit status 1.")
    text = shown(view, called, record("job_error", **FAILED))
    for words in (
        "FAILED",
        "train_student digits: 3",
        f"{second}: the loss is nan\n      where: step 20\n",
        "      what to do: lower lr\n",
        "made and recorded: digits-dash-w12-s42\n",
        "not made: digits-gap-w12-s42\n",
        "log: results/logs/train_student/train_student_digits_1of1.log\n",
        "0 of 1 jobs done",
        "1 failed",
    ):
        assert words in text, text
    for noise in ("message: None", "set -euo", "RuleException", "CalledProcess"):
        assert noise not in text


def test_a_job_without_a_note_shows_the_end_of_its_log(tmp_path: Path) -> None:
    run, view = bundle_run(tmp_path), display(tmp_path)
    log = tmp_path / FAILED["log"][0]
    log.parent.mkdir(parents=True)
    log.write_text("first\n" + "\n" * 20 + "x\n" * 20 + "ImportError: no torch\n")
    killed = record("error", CALLED + "died with <Signals.SIGKILL: 9>.")
    view.handle(record(None, "1 job", runledger=run))
    info, failed = job_info(7, "x"), record("job_error", **FAILED)
    text = shown(view, info, killed, failed)
    assert "ImportError: no torch" in text
    assert "first" not in text
    assert "SIGKILL ended its process" in text


def test_what_a_cluster_says_of_a_job_is_shown(tmp_path: Path) -> None:
    view = display(tmp_path)
    said = "SLURM-job '11' failed, SLURM status is: 'OUT_OF_MEMORY'"
    view.handle(record(None, "1 job", runledger=bundle_run(tmp_path)))
    failed = record("job_error", **{**FAILED, "rule_msg": said})
    assert said in shown(view, job_info(7, "x"), failed)


def test_ctrl_c_is_no_failure(tmp_path: Path) -> None:
    run, view = bundle_run(tmp_path), display(tmp_path)
    view.handle(record(None, "1 job", runledger=run))
    view.handle(job_info(7, "x"))
    for member in run.tasks[7].members:
        report(tmp_path, member.name, "interrupted")
    asked = "Terminating processes on user request, this might take some time."
    text = shown(view, record(None, asked), record("job_error", **FAILED))
    assert "stopped" in text
    assert "FAILED" not in text
    assert "0 of 1 jobs done" in text


def test_a_job_that_somebody_else_stopped_says_what_its_log_says(tmp_path) -> None:
    run, view = bundle_run(tmp_path), display(tmp_path)
    log = tmp_path / FAILED["log"][0]
    log.parent.mkdir(parents=True)
    log.write_text("error: cluster job 3 ended without train_student@digits-dash\n")
    view.handle(record(None, "1 job", runledger=run))
    view.handle(job_info(7, "x"))
    for member in run.tasks[7].members:
        report(tmp_path, member.name, "interrupted")
    text = shown(view, record("job_error", **FAILED))
    assert "FAILED" in text
    assert "cluster job 3 ended without" in text
    assert "the same command goes on" in text


def test_a_finished_job_is_one_line_and_a_target_none(tmp_path: Path) -> None:
    run, view = bundle_run(tmp_path), display(tmp_path)
    log = tmp_path / "tables.out"
    log.write_text("table3: complete\n")
    run.tasks[9] = Task("tables", "tables", log="tables.out")
    text = shown(
        view,
        record(None, "3 jobs", runledger=run),
        *(job_info(number, "x") for number in (7, 8, 9)),
        *(record("job_finished", job_id=number) for number in (7, 8, 9)),
        record("job_finished", job_id=77),
    )
    assert len([ln for ln in text.splitlines() if ln.startswith("done")]) == 2
    assert "table3: complete" in text, "its log is all that it makes"
    assert "2 of 2 jobs done" in text


def test_jobs_that_nobody_announced_are_shown_by_their_rule(tmp_path: Path) -> None:
    view = display(tmp_path)
    info = job_info(1, "fetch", wildcards={"path": "results/a"})
    text = shown(view, info, record("job_finished", job_id=1))
    assert "fetch results/a" in text


def test_a_dry_run_is_summed_up_by_stage(tmp_path: Path) -> None:
    recipes = [f"results/recipes/train_student/{n}/k.json" for n in range(5)]
    sample = "results/recipes/generate_samples/a/k.json"
    text = shown(
        display(tmp_path, dryrun=True),
        job_info(1, "train_student_digits_s42_1of2", input=["d", *recipes[:3]]),
        job_info(2, "train_student_digits_s42_2of2", input=["d", *recipes[3:]]),
        *(job_info(n, "generate_part", input=[sample]) for n in (3, 4)),
        job_info(5, "fetch", input=["results/.state/tickets/x.json"]),
        job_info(6, "all", output=[], log=[]),
        record(None, "Reasons:\n  many"),
        record(None, "This was a dry-run (flag -n). The order"),
    )
    assert text.splitlines()[:4] == [
        "would run 5 jobs:",
        "  train_student: 5 instances in 2 jobs",
        "  generate_part: 1 instance in 2 jobs",
        "  fetch: 1 job",
    ]
    assert "VERBOSE=1" in text
    assert len(text.splitlines()) == 5


# the plugin


def plugin(monkeypatch, env: str = "", **settings: object):
    from snakemake_logger_plugin_runledger import LogHandler

    off = ("printshellcmds", "verbose", "debug_dag", "show_failed_logs")
    usual = {
        **dict.fromkeys(off, False),
        "quiet": None,
        "nocolor": True,
        "stdout": True,
    }
    monkeypatch.setenv("VERBOSE", env)
    made = SimpleNamespace(**{**usual, "dryrun": False, **settings})
    return LogHandler(made, None)


HEADER = (
    "datetime workflow_id platform host user snakemake_version python_version cmd "
    "snakefile_main basedir rundir cwd configfiles config_md5"
)
STARTED = dict.fromkeys(HEADER.split(), "x")


def say(handler) -> None:
    handler.emit(record(None, "Assuming unrestricted shared filesystem usage."))
    handler.emit(record("workflow_started", "Workflow has started!", **STARTED))
    handler.emit(record(None, "Building DAG of jobs..."))
    handler.emit(record(None, "a word"))


def test_the_plugin_shows_runs_and_leaves_the_rest(monkeypatch, capsys) -> None:
    say(plugin(monkeypatch))
    assert capsys.readouterr().out.split("  ")[-1] == "a word\n"


@pytest.mark.parametrize(
    "asked", [{"verbose": True}, {"printshellcmds": True}, {"debug_dag": True}, {}]
)
def test_asked_for_snakemakes_own_words_come(monkeypatch, capsys, asked) -> None:
    say(plugin(monkeypatch, "" if asked else "1", **asked))
    assert "Building DAG of jobs..." in capsys.readouterr().out


@pytest.mark.parametrize(("quiet", "seen"), [("RULES", True), ("ALL", False)])
def test_quiet_is_snakemakes_business(monkeypatch, capsys, quiet, seen) -> None:
    from snakemake.settings.enums import Quietness

    say(plugin(monkeypatch, quiet={Quietness[quiet]}))
    assert ("a word" in capsys.readouterr().out) == seen


def test_before_a_workflow_starts_all_is_snakemakes(monkeypatch, capsys) -> None:
    handler = plugin(monkeypatch)
    handler.emit(record("error", "SyntaxError in Snakefile", level=logging.ERROR))
    assert "SyntaxError in Snakefile" in capsys.readouterr().out


def test_an_error_of_the_display_is_said_once_and_contained(monkeypatch, capsys):
    handler = plugin(monkeypatch)
    say(handler)
    monkeypatch.setattr(Display, "_job_info", lambda *_: 1 / 0)
    info = job_info(1, "train", rule_msg="trains", reason="")
    handler.emit(info)
    handler.emit(info)
    handler.emit(record("error", "a failure of the run", level=logging.ERROR))
    handler.close()
    text = capsys.readouterr().out
    assert text.count("the display failed (ZeroDivisionError") == 1
    assert text.count("Job 1: trains") == 1
    assert "a failure of the run" in text


def test_an_error_while_redrawing_is_contained_too(monkeypatch, capsys) -> None:
    handler = plugin(monkeypatch)
    say(handler)
    screen = handler._display.screen
    screen.every, screen.show = 0.01, lambda run: 1 / 0
    handler.emit(job_info(1, "train", rule_msg="trains", reason=""))
    handler._display._thread.join(timeout=10)
    handler.emit(record("job_finished", "Finished jobid: 1", job_id=1))
    handler.close()
    text = capsys.readouterr().out
    assert text.count("the display failed (ZeroDivisionError") == 1
    assert "Finished jobid: 1" in text


def test_a_stream_that_is_gone_ends_nothing(monkeypatch) -> None:
    handler = plugin(monkeypatch)
    say(handler)

    class Gone(io.StringIO):
        def write(self, text: str) -> int:
            raise BrokenPipeError

    handler._stream = handler._display.screen.stream = handler._usual.stream = Gone()
    handler.emit(record(None, "a word"))
    handler.emit(record(None, "another"))
    handler.close()
