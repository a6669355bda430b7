"""The demo as a newcomer runs it, once, with its five seeds; everything else here reads what it left."""

import csv
import os
import re
import shutil
from html.parser import HTMLParser
from pathlib import Path
from statistics import fmean, stdev

import pytest

import labelnoise

COLUMNS = "run_id,dataset,noise,rate,loss,seed,best_epoch,test_accuracy_best,test_accuracy_last"


@pytest.fixture(scope="module")
def out(tmp_path_factory):
    out = tmp_path_factory.mktemp("demo")
    labelnoise.demo(out)
    return out


@pytest.fixture(scope="module")
def rows(out):
    with (out / "results.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def accuracies(rows, loss, epoch, rate="0.4"):
    chosen = [row for row in rows if (row["loss"], row["rate"]) == (loss, rate)]
    assert [row["seed"] for row in chosen] == list("01234")
    return [float(row[f"test_accuracy_{epoch}"]) for row in chosen]


@pytest.mark.parametrize("loss", ["gce", "pruned_gce"])
def test_the_robust_losses_end_ten_points_above_cross_entropy(rows, loss):
    assert fmean(accuracies(rows, loss, "last")) >= fmean(accuracies(rows, "cce", "last")) + 0.10


def test_cross_entropy_is_not_handicapped(rows, out):
    with (out / "learning_rate.csv").open(newline="") as file:
        validation = {
            float(row["learning_rate"]): float(row["validation_accuracy_best"]) for row in csv.DictReader(file)
        }
    assert set(validation) == {0.01, 0.03, 0.1, 0.3}
    chosen = max(validation, key=validation.__getitem__)
    assert f"Learning rate {chosen} for every loss" in (out / "report.html").read_text()
    cce, gce = accuracies(rows, "cce", "best"), accuracies(rows, "gce", "best")
    assert fmean(cce) >= 0.88
    assert fmean(gce) >= fmean(cce)


@pytest.mark.parametrize("epoch", ["best", "last"])
def test_pruning_does_not_cost_more_than_two_paired_standard_errors(rows, epoch):
    pairs = zip(accuracies(rows, "pruned_gce", epoch), accuracies(rows, "gce", epoch), strict=True)
    gains = [pruned - plain for pruned, plain in pairs]
    assert fmean(gains) >= -2 * stdev(gains) / len(gains) ** 0.5


def test_results_are_one_sorted_row_a_run(out, rows):
    assert (out / "results.csv").read_text().startswith(COLUMNS + "\n")
    keys = [(row["dataset"], row["noise"], float(row["rate"]), row["loss"], int(row["seed"])) for row in rows]
    assert keys == sorted(keys)
    assert len({row["run_id"] for row in rows}) == len(rows) == 2 * 4 * 5
    timings = (out / "timings.csv").read_text().splitlines()
    assert timings[0] == "run_id,seconds"
    assert {row["run_id"] for row in rows} <= {line.split(",")[0] for line in timings[1:]}


def test_done_again_it_changes_nothing_and_a_lost_run_comes_back_to_the_bit(out, rows):
    results = (out / "results.csv").read_bytes()
    lost = out / "runs" / rows[7]["run_id"]
    kept = {path: path.stat().st_mtime_ns for path in (out / "runs").rglob("*") if lost not in (path, *path.parents)}
    shutil.rmtree(lost)
    labelnoise.demo(out)
    assert (out / "results.csv").read_bytes() == results
    assert all(path.stat().st_mtime_ns == before for path, before in kept.items() if path.is_file())


class Page(HTMLParser):
    def __init__(self, text):
        super().__init__()
        self.tags, self.addresses = [], []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        self.addresses += [value for name, value in attributes if name in ("src", "href", "xlink:href")]


def test_the_report_is_one_file_with_everything_in_it(out):
    text = (out / "report.html").read_text()
    page = Page(text)
    assert all(address.startswith(("data:", "#")) for address in page.addresses)
    assert not {"script", "link", "iframe"} & set(page.tags)
    assert "@import" not in text
    assert "url(http" not in text
    assert page.tags.count("svg") == 12  # bars, accuracy, loss, belief, shapes, bounded sums: two each
    assert page.tags.count("img") == 40
    assert page.tags.count("table") == 4  # accuracy, learning rates, pruning, time
    captions = ("last epoch", "symmetric, 20%", "mean p of the given label", "gradient (L1 norm", "100 classes")
    for caption in captions:
        assert caption in text
    assert len(re.findall(r"\d\d\.\d ± \d+\.\d", text)) == 8 * 5 + 2 * 2


def test_the_command_prints_the_table_and_where_the_report_lies(invoke, out):
    code, told, _ = invoke("demo", "--out", out)
    assert code == 0
    assert len(re.findall(r"symmetric [24]0% +\w+ +\d\d\.\d ± ", told)) == 8
    assert f"Report: {out / 'report.html'}" in told.replace("\n", "")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--out", os.devnull + "/x"], f"labelnoise: out must be a folder that can be written, got {os.devnull}/x"),
        (["--seeds", "0"], "--seeds"),
        (["--sedes", "3"], "--seeds"),
    ],
)
def test_bad_arguments_end_with_exit_code_2_and_no_traceback(invoke, arguments, message):
    code, _, errors = invoke("demo", *arguments)
    assert code == 2
    assert message in errors
    assert "Traceback" not in errors


def test_the_library_refuses_no_seed():
    with pytest.raises(ValueError, match="seeds must be at least 1, got 0"):
        labelnoise.demo(Path("never-made"), seeds=0)
    assert not Path("never-made").exists()
