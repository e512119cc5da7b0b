"""Data outside the checkout are inputs by content, in both tools, wherever they lie."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import pytest
from once import once
from survey import Survey, make_survey
from test_records import NOTHING

from runledger.errors import UserError
from runledger.judge import Judge, Verdict
from runledger.locktext import locked_stages
from runledger.project import load_pipeline
from runledger.recipes import of_verdict
from runledger.records import Records, recipe_key

NAME = "survey@all"
INPUT = "${survey.path}/train"


@pytest.fixture(scope="module")
def finished_survey(tmp_path_factory) -> Path:
    """A folder with a finished, committed and shared checkout, and its data beside."""

    def prepare(folder: Path) -> None:
        (folder / "project").mkdir()
        made = make_survey(folder / "project")
        made.snakemake()
        made.commit()

    return once(tmp_path_factory, "survey", prepare)


@pytest.fixture
def survey(finished_survey: Path, tmp_path: Path) -> Survey:
    """A private copy of it; moving the data is said in params.yaml, and settled."""
    shutil.copytree(finished_survey, tmp_path / "lab", symlinks=True)
    made = Survey(tmp_path / "lab" / "project")
    made.set("survey", "path", str(made.photos))
    made.ledger("settle")
    made.commit("moved")
    return made


def judged(made: Survey, name: str = NAME) -> Verdict:
    return Judge(made.root, load_pipeline(made.root)).judge()[name]


def of_dvc(made: Survey) -> list[str]:
    """Lines of `dvc status` that name a stage or a change."""
    return [line.strip() for line in made.dvc("status").splitlines() if ":" in line]


def the_record(made: Survey, stage: str = "survey/all") -> dict:
    (path,) = (made.root / "results/records" / stage).glob("*.json")
    return json.loads(path.read_text())


def overwrite(path: Path, text: str) -> None:
    """Change bytes and nothing else that a look without reading would show."""
    before = path.stat()
    path.write_text(text)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


CHANGES = {
    "an image more": lambda train: (train / "cats/7.png").write_text("7\n"),
    "an image less": lambda train: (train / "dogs/5.png").unlink(),
    "a class less": lambda train: shutil.rmtree(train / "dogs"),
    "a class of another name": lambda train: (train / "cats").rename(train / "cat"),
    "bytes of equal size and time": lambda t: overwrite(t / "cats/1.png", "9\n"),
    "bytes of equal size": lambda train: (train / "cats/1.png").write_text("9\n"),
    "bytes behind a link": lambda t: (t.parents[1] / "sixth.png").write_text("9\n"),
    "an image deep below": lambda train: (train / "dogs/big/4.png").unlink(),
}


@pytest.mark.parametrize("change", CHANGES)
def test_what_changes_in_the_folder_is_seen_by_both(survey: Survey, change) -> None:
    assert judged(survey).valid
    assert "up to date" in survey.dvc("status")
    kept = survey.photos.with_name("kept")
    shutil.copytree(survey.photos, kept, symlinks=True)
    CHANGES[change](survey.photos / "train")
    verdict = judged(survey)
    assert not verdict.valid
    (reason,) = verdict.reasons
    assert reason.startswith(f"input {INPUT} changed (9 files, ")
    if change != "bytes of equal size and time":  # DVC does not look at ctime
        assert f"modified:           {survey.photos}/train" in of_dvc(survey)
    shutil.rmtree(survey.photos)
    kept.rename(survey.photos)
    survey.photos.with_name("sixth.png").write_text("6\n")
    assert judged(survey).valid, "the same bytes, whatever their dates"
    assert "up to date" in survey.dvc("status")


def test_what_is_not_read_does_not_count(survey: Survey) -> None:
    (survey.photos / "notes.txt").unlink()
    (survey.photos / "train" / "another empty folder").mkdir()
    assert judged(survey).valid
    assert "up to date" in survey.dvc("status")


def test_run_after_a_change_and_back(survey: Survey) -> None:
    first = survey.read("results/survey/all/list.txt")
    (survey.photos / "train/cats/7.png").write_text("7\n")
    assert f"input {INPUT} changed (9 files, " in survey.snakemake("-n")
    survey.snakemake()
    assert survey.read("results/summary/_/summary.txt") == "images 7\n"
    assert "up to date" in survey.dvc("status")
    assert "Running stage" not in survey.dvc("repro")
    (survey.photos / "train/cats/7.png").unlink()
    survey.snakemake()
    assert survey.trained() == ["survey", "survey"], "the first run's record is back"
    survey.ledger("pull")
    assert survey.read("results/survey/all/list.txt") == first


def test_values_that_do_not_count_make_nothing_stale(survey: Survey) -> None:
    before = judged(survey)
    survey.set("survey", "mirror", "http://b")
    survey.set("summary", "style", "bold")
    assert "up to date" in survey.dvc("status"), "before anything was settled"
    moved = survey.photos.with_name("elsewhere")
    survey.photos.rename(moved)
    survey.set("survey", "path", f"{moved}/")
    after = judged(survey)
    assert after.valid
    assert after.key == before.key
    assert NOTHING in survey.snakemake()
    survey.ledger("settle")
    assert "up to date" in survey.dvc("status")
    survey.set("survey", "unit", "km\n")
    assert judged(survey).reasons == ["params: survey.unit: m\n -> km\n"]
    assert f"{NAME}:" in of_dvc(survey)


def test_a_folder_in_the_checkout_by_an_absolute_path(survey: Survey) -> None:
    """DVC spells such a path relative in dvc.lock, and ignores more in it."""
    inside = survey.root / "data"
    survey.photos.rename(inside)
    (survey.photos.with_name("sixth.png")).rename(survey.root / "sixth.png")
    (inside / "train/dogs/6.png").unlink()
    (inside / "train/dogs/6.png").symlink_to("../../../sixth.png")
    for path in (str(inside), "data", "data/", "./data"):
        survey.set("survey", "path", path)
        survey.snakemake()
        survey.ledger("settle")
        assert "up to date" in survey.dvc("status"), path
    (inside / "train/__pycache__/more").write_text("ignored by both\n")
    assert judged(survey).valid
    assert "up to date" in survey.dvc("status")


def test_the_record_says_where_and_what(survey: Survey) -> None:
    record = the_record(survey)
    assert record["inputs"][INPUT].endswith(".dir")
    assert record["recipe"]["params"] == {"survey.unit": "m\n"}
    assert record["run"]["uncounted"]["survey.mirror"] == "http://a"
    outside = record["run"]["outside"][INPUT]
    assert outside["path"].endswith("my phötos (2)/train")
    assert outside["nfiles"] == 9


def test_dvc_alone_makes_the_same_record(survey: Survey) -> None:
    wanted = the_record(survey)["key"], locked_stages(survey.root)
    shutil.rmtree(survey.root / "results")
    (survey.root / "dvc.lock").unlink()
    survey.dvc("repro")
    assert (the_record(survey)["key"], locked_stages(survey.root)) == wanted
    assert NOTHING in survey.snakemake("-n")


# on a machine that has not got the data


@pytest.fixture
def clone(survey: Survey, tmp_path: Path) -> Survey:
    """A clone elsewhere; the original's folder is gone, the remote has the results."""
    survey.dvc("remote", "add", "--default", "shared", str(tmp_path / "remote"))
    survey.commit("remote")
    survey.ledger("push")
    other = survey.survey_clone(tmp_path / "home")
    survey.photos.rename(survey.photos.with_name("away"))
    other.away = survey.photos.with_name("away")
    return other


def test_results_stay_valid_where_the_data_are_not(clone: Survey) -> None:
    assert judged(clone).valid
    assert judged(clone, "summary").valid
    assert NOTHING in clone.snakemake("-n")
    assert "taken as recorded: survey@all" in clone.ledger("status")
    clone.ledger("pull")
    assert clone.read("results/survey/all/list.txt").startswith("m\n")
    clone.ledger("settle")
    assert clone.git("status", "--porcelain", "dvc.lock") == "", "as in the original"


def test_what_dvc_says_where_the_data_are_not(clone: Survey) -> None:
    clone.ledger("pull")
    path = locked_stages(clone.root)[NAME]["deps"][0]["path"]
    assert path.endswith("/train")
    assert of_dvc(clone) == [f"{NAME}:", "changed deps:", f"deleted:            {path}"]
    assert "Running stage" not in clone.dvc("repro", "--allow-missing")
    assert clone.read("results/survey/all/list.txt").startswith("m\n")


def test_other_data_on_another_machine_are_stale(clone: Survey) -> None:
    shutil.copytree(clone.away, clone.photos)
    clone.set("survey", "path", str(clone.photos))
    (clone.photos.with_name("sixth.png")).write_text("6\n")
    assert judged(clone).valid, "a copy has the same bytes"
    (clone.photos / "train/cats/1.png").write_text("other\n")
    assert not judged(clone).valid


def test_what_the_folder_was_is_what_dvc_lock_says(survey: Survey, tmp_path) -> None:
    """Not the latest run: the folder may have gone back since."""
    first = judged(survey)
    (survey.photos / "train/cats/7.png").write_text("7\n")
    survey.snakemake()
    second = judged(survey)
    (survey.photos / "train/cats/7.png").unlink()
    survey.ledger("pull")
    survey.snakemake()
    survey.ledger("settle")
    survey.commit("back at the first")
    survey.photos.rename(survey.photos.with_name("away"))
    assert judged(survey).key == first.key != second.key
    (survey.root / "dvc.lock").write_text("<<<<<<< of a merge\n")
    assert judged(survey).key == second.key, "then the latest"


@pytest.mark.parametrize("target", ["all", "results/summary/_/summary.txt"])
def test_missing_data_are_one_error_before_anything_runs(clone: Survey, target) -> None:
    clone.set("survey", "unit", "km\n")
    path = clone.photos / "nowhere"
    clone.set("survey", "path", str(path))
    shutil.rmtree(clone.root / "results/records/prelude")  # it would run first
    out = clone.snakemake(target, check=False)
    assert clone.code != 0
    assert f"{NAME} has to run and reads {path}/train, which does not exist" in out
    assert "survey.path in params.yaml" in out
    assert "put the data there, or correct the path" in out
    assert "Traceback" not in out
    assert not list((clone.root / "results/records").glob("prelude/_/*"))
    clone.git("checkout", "--", "results")
    clone.ledger("pull", "prelude")
    by_hand = clone.run("python", "stages/survey.py", "all", check=False)
    assert f"reads {path}/train, which does not exist" in by_hand


def test_lost_results_and_no_data_are_the_same_error(clone: Survey, tmp_path) -> None:
    shutil.rmtree(tmp_path / "remote")
    (tmp_path / "remote" / "files" / "md5").mkdir(parents=True)
    clone.set("summary", "title", "pictures")
    out = clone.snakemake(check=False)
    assert clone.code != 0
    assert f"{NAME} has to run and reads" in out


# what cannot be an input


def linked_folder(train: Path) -> Path:
    """Add a link to a folder; what lies behind it DVC does not see."""
    (train.parents[1] / "behind").mkdir()
    (train / "cows").symlink_to(train.parents[1] / "behind")
    return train / "cows"


def link_to_nothing(train: Path) -> Path:
    (train / "cats" / "8.png").symlink_to("nothing")
    return train / "cats" / "8.png"


def pipe(train: Path) -> Path:
    os.mkfifo(train / "cats" / "8.png")
    return train / "cats" / "8.png"


def not_utf8(train: Path) -> Path:
    path = os.fsencode(train / "cats") + b"/\xff.png"
    Path(os.fsdecode(path)).write_text("8\n")
    return train / "cats" / "\\udcff.png"


UNUSABLE = {
    "a link to a folder, behind which DVC does not look": linked_folder,
    "a link to nothing": link_to_nothing,
    "neither a file nor a folder": pipe,
    "a file name that is not UTF-8": not_utf8,
}


@pytest.mark.parametrize("what", UNUSABLE)
def test_what_the_tools_would_not_see_alike_is_refused(survey: Survey, what) -> None:
    path = UNUSABLE[what](survey.photos / "train")
    verdict = judged(survey)
    assert not verdict.valid
    assert what in verdict.reasons[-1]
    assert str(path) in verdict.reasons[-1]
    out = survey.snakemake(check=False)
    assert survey.code != 0
    assert what in out
    assert survey.trained() == ["survey"], "nothing ran"


def test_the_folder_itself_may_be_a_link(survey: Survey) -> None:
    link = survey.photos.with_name("link")
    link.symlink_to(survey.photos)
    survey.set("survey", "path", str(link))
    assert judged(survey).valid
    survey.ledger("settle")
    assert "up to date" in survey.dvc("status")
    (survey.photos / "train/cats/1.png").write_text("other\n")
    assert not judged(survey).valid
    assert f"{NAME}:" in of_dvc(survey)


def test_a_value_cannot_count_and_not_count(survey: Survey) -> None:
    survey.edit("dvc.yaml", "params: [survey.unit]", "params: [survey]")
    with pytest.raises(UserError, match=r"survey\.path is listed as uncounted, but"):
        load_pipeline(survey.root)


# while jobs run


def test_a_folder_that_changes_meanwhile_is_not_recorded(survey: Survey) -> None:
    survey.set("survey", "unit", "km\n")
    survey.extra = {"TOUCH": "1"}
    out = survey.snakemake(check=False)
    assert survey.code != 0
    assert "an input changed while the job ran; its result is not recorded" in out
    assert len(list((survey.root / "results/records/survey/all").iterdir())) == 1


def test_an_edit_of_params_does_not_reach_a_planned_job(survey: Survey) -> None:
    """Not even of values that do not count: they are frozen in the recipe."""
    shutil.rmtree(survey.root / "results/records")
    survey.extra = {"EDIT": "1"}
    survey.snakemake()
    assert "/nowhere" in survey.read("params.yaml")
    assert survey.read("results/summary/_/summary.txt") == "images 6\n"
    record = the_record(survey)
    assert record["run"]["uncounted"]["survey.mirror"] == "http://a"
    assert record["run"]["outside"][INPUT]["path"] == f"{survey.photos}/train"


def test_a_record_of_other_data_is_not_what_a_planned_job_makes(survey: Survey) -> None:
    """A new head takes what a queued job made from its record: of this folder."""
    (record,) = Records(survey.root).history("survey", "all")
    pipeline = load_pipeline(survey.root)
    assert of_verdict(judged(survey), pipeline).made(record)
    (survey.photos / "train/cats/7.png").write_text("7\n")
    recipe = of_verdict(judged(survey), pipeline)
    assert recipe.frozen == record.recipe
    assert not recipe.made(record)
    survey.set("summary", "title", "pictures")
    out = survey.run("python", "stages/summary.py", check=False)
    assert "is not what survey@all recorded" in out


# records of before a value was declared uncounted


def test_records_of_before_stay_valid(survey: Survey) -> None:
    """A recipe that listed the whole section is that of the keys that count."""
    pipeline = load_pipeline(survey.root)
    instance, records = pipeline["summary"], Records(survey.root)
    (new,) = records.history("summary", "")
    records.path(instance, new.key).unlink()
    new.recipe["params"] = {"summary": {"title": "images", "style": "an old style"}}
    new.run.pop("uncounted")
    new.key = recipe_key(new.recipe, new.inputs)
    records.write(instance, new)
    verdict = judged(survey, "summary")
    assert verdict.valid
    assert verdict.record.key == new.key != verdict.key
    assert NOTHING in survey.snakemake("-n")
    survey.ledger("settle")
    assert "up to date" in survey.dvc("status")
    survey.set("summary", "title", "pictures")
    wanted = ["params: summary.title: images -> pictures"]
    assert judged(survey, "summary").reasons == wanted


def test_the_folder_of_a_record_is_not_a_path(survey: Survey) -> None:
    """The audit compares files of the repository with git, and not this input."""
    from runledger.audit import Chain, audit_chain

    findings = audit_chain(Chain(survey.root), ask_remote=False)
    objections = [f for f in findings if f.level == "objection"]
    assert objections == []
    survey.photos.rename(survey.photos.with_name("away"))
    unchecked = [
        f
        for f in audit_chain(Chain(survey.root), ask_remote=False)
        if f.kind == "input not here"
    ]
    assert [f.subject for f in unchecked] == [NAME]


def test_data_that_dvc_keeps_come_to_a_clone(survey: Survey, tmp_path: Path) -> None:
    inside = survey.root / "photos"
    survey.photos.rename(inside)
    shutil.rmtree(inside / "train/.git")  # DVC keeps no git folders
    shutil.rmtree(inside / "train/__pycache__")
    (inside / "train/dogs/6.png").unlink()
    survey.set("survey", "path", "photos")
    survey.dvc("add", "photos")
    survey.snakemake()
    survey.dvc("remote", "add", "--default", "shared", str(tmp_path / "remote"))
    survey.commit("photos")
    survey.ledger("push")
    survey.dvc("push")
    other = survey.survey_clone(tmp_path / "home")
    other.dvc("pull")
    assert judged(other).valid
    assert not judged(other).unread
    assert "up to date" in other.dvc("status")
    assert NOTHING in other.snakemake("-n")


@pytest.mark.parametrize("name", ["a {x} b", "a$b", "100% ${survey.unit}", 'it\'s "x"'])
def test_a_path_may_have_any_name(survey: Survey, name: str) -> None:
    moved = survey.photos.with_name(name)
    survey.photos.rename(moved)
    survey.set("survey", "path", str(moved))
    assert judged(survey).valid
    survey.set("survey", "unit", "km\n")
    survey.snakemake()
    assert "up to date" in survey.dvc("status")
    (moved / "train/cats/1.png").unlink()
    assert not judged(survey).valid
    assert f"modified:           {moved}/train" in of_dvc(survey)
