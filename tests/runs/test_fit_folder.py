import errno
import json
import os
import subprocess
import sys

import pytest

from labelnoise.runs import FitFolder, fit_folder

SETTINGS = {"seed": 0, "columns": ["a", None]}
PLAN = {"epochs": 3}
RESULTS = ("report.html", "labels.csv", "summary.json", "source.json", "config.json", "model.safetensors")


def opened(path, settings=SETTINGS, *, overwrite=False):
    folder = FitFolder(path)
    with folder.open(settings, overwrite=overwrite) as begun:
        return folder, begun


def finished(path):
    folder, _ = opened(path)
    folder.begin(SETTINGS, PLAN)
    (folder.work / "checkpoint.pt").write_text("state")
    for name in RESULTS:
        folder.write(name, "old")
    (path / "encoder").mkdir()
    (path / "encoder" / "config.json").write_text("old")
    folder.finish({"accuracy": 1})
    return folder


def names(path):
    return sorted(entry.name for entry in path.iterdir() if entry.name != ".lock")


def test_a_new_folder_is_made_and_its_plan_found_again(tmp_path):
    folder, begun = opened(tmp_path / "new" / "fit")
    assert begun is None
    folder.begin(SETTINGS, PLAN)
    (folder.work / "checkpoint.pt").write_text("state")
    again, begun = opened(tmp_path / "new" / "fit", {"columns": ("a", None), "seed": 0})
    assert begun == PLAN
    assert not again.is_finished
    assert names(again.work) == ["checkpoint.pt"]


def test_what_is_finished_has_no_work_left(tmp_path):
    folder = finished(tmp_path)
    assert names(tmp_path) == sorted([*RESULTS, "encoder", "metrics.json", "plan.json"])
    folder.work.mkdir()  # as a kill after the last file leaves it
    again, begun = opened(tmp_path)
    assert again.is_finished
    assert begun == PLAN
    assert again.read_json("metrics.json") == {"accuracy": 1}
    assert not again.work.exists()


def test_other_settings_are_named_and_refused(tmp_path):
    finished(tmp_path)
    with pytest.raises(ValueError, match=r"other settings \(seed\); .* \(--overwrite\)"):
        opened(tmp_path, {**SETTINGS, "seed": 1})
    assert opened(tmp_path)[0].is_finished


def test_overwritten_results_stay_until_the_new_plan_is_made(tmp_path):
    finished(tmp_path)
    other = {**SETTINGS, "seed": 1}
    folder, begun = opened(tmp_path, other, overwrite=True)
    assert begun is None
    assert not folder.is_finished
    assert (tmp_path / "labels.csv").read_text() == "old"
    (folder.work / "data.uint8").write_text("of the new data")
    folder.begin(other, PLAN)
    assert names(tmp_path) == ["plan.json", "work"]
    assert opened(tmp_path, other)[1] == PLAN


def test_results_that_were_to_be_overwritten_are_protected_until_they_are(tmp_path):
    finished(tmp_path)
    other, third = ({**SETTINGS, "seed": seed} for seed in (1, 2))
    folder, _ = opened(tmp_path, other, overwrite=True)  # and then the data could not be read
    (folder.work / "data.uint8").write_text("of the new data")
    with pytest.raises(ValueError, match=r"other settings \(seed\)"):
        opened(tmp_path, third)
    folder, begun = opened(tmp_path, other)  # is what was allowed
    assert begun is None
    assert names(folder.work) == ["data.uint8"]
    folder, begun = opened(tmp_path)
    assert begun == PLAN
    assert folder.is_finished
    assert not folder.work.exists()


def test_a_fit_that_was_not_finished_finds_no_work_of_one_that_was_to_overwrite_it(tmp_path):
    opened(tmp_path)[0].begin(SETTINGS, PLAN)
    folder, _ = opened(tmp_path, {**SETTINGS, "seed": 1}, overwrite=True)
    (folder.work / "data.uint8").write_text("of the new data")
    folder, begun = opened(tmp_path)
    assert begun == PLAN
    assert names(folder.work) == []


@pytest.mark.parametrize(("data", "kept"), [("first", True), ("second", False)])
def test_decisions_outlive_another_fit_to_the_same_data_only(tmp_path, data, kept):
    first, other = SETTINGS | {"data": "first"}, SETTINGS | {"data": data, "seed": 1}
    folder, _ = opened(tmp_path, first)
    folder.begin(first, PLAN)
    review = [tmp_path / name for name in ("decisions.csv", "sample.csv", "sample.json")]
    for path in review:
        folder.write(path.name, "somebody's work")
    folder.finish({})
    opened(tmp_path, other, overwrite=True)  # a mistake in the data, or a kill, before there is a plan
    assert all(path.exists() for path in review)
    folder, _ = opened(tmp_path, other)
    for _ in range(2):
        folder.begin(other, PLAN)
        assert {path.exists() for path in review} == {kept}
        assert {path.with_name(f"{path.name}.of-other-data").exists() for path in review} == {not kept}


def test_before_there_is_a_plan_other_settings_are_welcome_and_find_no_work_of_others(tmp_path):
    folder, _ = opened(tmp_path)  # and then the data could not be read
    (folder.work / "data.uint8").write_text("of the old data")
    again, begun = opened(tmp_path, {**SETTINGS, "seed": 1})
    assert begun is None
    assert names(again.work) == []


def test_what_is_no_fit_is_left_alone(tmp_path):
    (tmp_path / "thesis.doc").write_text("ten years")
    (tmp_path / "work").mkdir()
    for overwrite in (False, True):
        with pytest.raises(ValueError, match="which holds something else"):
            opened(tmp_path, overwrite=overwrite)
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["thesis.doc", "work"]


@pytest.mark.parametrize("content", ["", "[]", "3", "{}", json.dumps({"settings": 3, "plan": {}}), "\x00"])
def test_another_programs_plan_is_refused(tmp_path, content):
    (tmp_path / "plan.json").write_text(content)
    with pytest.raises(ValueError, match="is no plan of a fit"):
        opened(tmp_path, overwrite=True)
    assert (tmp_path / "plan.json").read_text() == content


def test_a_place_that_cannot_be_written_is_refused(tmp_path):
    (tmp_path / "file").touch()
    for path in (tmp_path / "file", tmp_path / "file" / "fit"):
        with pytest.raises(ValueError, match="out must be a folder that can be written"):
            opened(path)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_without_permission_is_refused(tmp_path):
    tmp_path.chmod(0o500)
    with pytest.raises(ValueError, match="Permission denied"):
        opened(tmp_path / "fit")


HOLD = """
import sys
from pathlib import Path
from labelnoise.runs import FitFolder

with FitFolder(Path(sys.argv[1])).open({"seed": 0, "columns": ["a", None]}, overwrite=False):
    print("held", flush=True)
    sys.stdin.read()
"""


class TestLock:
    @pytest.fixture
    def holder(self, tmp_path):
        """Another process, at work in the folder."""
        command = [sys.executable, "-c", HOLD, str(tmp_path / "fit")]
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
            assert process.stdout.readline() == b"held\n"
            yield process
            process.kill()

    def test_two_processes_do_not_mix(self, holder, tmp_path):
        (tmp_path / "fit" / "work" / "checkpoint.pt").write_text("of the other")
        for settings in (SETTINGS, {**SETTINGS, "seed": 1}):
            with pytest.raises(ValueError, match=rf"another fit is at work in {tmp_path / 'fit'}; wait until"):
                opened(tmp_path / "fit", settings, overwrite=True)
        assert names(tmp_path / "fit" / "work") == ["checkpoint.pt"]

    def test_a_killed_process_hinders_nobody(self, holder, tmp_path):
        holder.kill()
        holder.wait()
        assert opened(tmp_path / "fit")[1] is None

    def test_an_error_lets_go_while_its_traceback_lives(self, tmp_path):
        with pytest.raises(KeyError) as caught, FitFolder(tmp_path).open(SETTINGS, overwrite=False):
            raise KeyError
        opened(tmp_path)
        assert caught

    def test_a_system_without_locks_does_without(self, tmp_path, monkeypatch):
        def refuse(*_):
            raise OSError(errno.ENOLCK, "No locks available")

        monkeypatch.setattr(fit_folder.fcntl, "flock", refuse)
        opened(tmp_path)
        monkeypatch.setattr(fit_folder, "fcntl", None)
        opened(tmp_path)
