"""The transcription is checked by cells picked by hand and by its shape; the numbers are the paper's."""

import csv
from importlib.resources import files

import pytest
from test_tables import runs

from labelnoise.reports.published import beside_published
from labelnoise.runs import Part


def rows():
    with (files("labelnoise.reports") / "published.csv").open() as file:
        return list(csv.DictReader(file))


def of(dataset, losses, noise="symmetric", rate=0.4):
    """Two seeds of digits runs for each loss, told to be of something else."""
    seeds = [run for run in runs(2) if run.config.loss.name == "cce"][:2]
    parts = [Part(name=loss[0], **loss[1]) if isinstance(loss, tuple) else Part(name=loss) for loss in losses]
    told = {"dataset": Part(name=dataset), "noise": Part(name=noise), "rate": rate}
    return [run._replace(config=run.config.model_copy(update=told | {"loss": part})) for part in parts for run in seeds]


def test_every_cell_of_the_three_tables_is_there_once():
    closed = [row for row in rows() if row["experiment"] == "closed-set"]
    keys = {(row["dataset"], row["noise"], row["rate"], row["loss"]) for row in closed}
    assert len(closed) == len(keys) == 3 * 6 * 8
    assert sum(row["verified"] == "yes" for row in closed) == 16 + 10  # on the slides, and two of the twelve are there


@pytest.mark.parametrize(
    ("dataset", "noise", "rate", "loss", "accuracy", "verified"),
    [
        ("cifar10", "symmetric", 0.4, ("pruned_gce", {"q": 0.7, "k": 0.5}), 0.8762, True),
        ("cifar10", "symmetric", 0.4, "cce", 0.8188, True),
        ("cifar100", "symmetric", 0.2, ("gce", {"q": 0.7}), 0.6681, True),
        ("cifar100", "cifar100_circular", 0.4, ("forward", {"transition": "true"}), 0.7082, False),
        ("fashion-mnist", "fashion_mnist_map", 0.3, "mae", 0.5814, False),
        ("fashion-mnist", "symmetric", 0.6, ("gce", {"q": 0.0}), 0.9029, False),
    ],
)
def test_a_row_of_ours_finds_the_papers(dataset, noise, rate, loss, accuracy, verified):
    ((ours, published),) = beside_published(of(dataset, [loss], noise, rate), open_set=False)
    assert published == (pytest.approx(accuracy), "best", verified)
    assert ours.best.mean == pytest.approx(0.905)


@pytest.mark.parametrize(
    "loss", [("gce", {"q": 0.5}), ("gce", {"q": 1.0}), ("pruned_gce", {"q": 0.7, "k": 0.3}), "truncated_gce"]
)
def test_what_the_paper_has_not_run_has_no_figure(loss):
    assert beside_published(of("cifar10", [loss]), open_set=False) == []
    assert beside_published(of("digits", ["cce"]), open_set=True) == []


def test_the_open_set_experiment_has_a_closed_set_column_of_its_own():
    def published(runs):
        return [(cell.epoch, round(cell.accuracy, 4)) for _, cell in beside_published(runs, open_set=True)]

    assert published([*of("cifar10", ["cce"], "open_set"), *of("cifar10", ["cce"])]) == [
        ("last", 0.6292),
        ("last", 0.6238),
    ]
    assert published(of("cifar10", ["cce"])) == [("last", 0.6238)]  # of a study whose open-set runs are not done yet
    ((_, closed),) = beside_published(of("cifar10", ["cce"], rate=0.2), open_set=False)
    assert published(of("cifar10", ["cce"], rate=0.2)) == [("best", round(closed.accuracy, 4))]
