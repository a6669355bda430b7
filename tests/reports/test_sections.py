import pytest
from test_tables import runs

from labelnoise.reports import Findings, study_markdown, study_sections
from labelnoise.reports.references import _BY_NAME, bibtex
from labelnoise.reports.tables import passing_epochs
from labelnoise.runs import Belief, Part
from labelnoise.training import EpochMetrics

MACHINE = {name: "x" for name in ("processor", "cores", "python", "labelnoise", "commit", "torch")}


def curve(*test_accuracies):
    return [EpochMetrics(epoch, 0.5, 0.6, 1.0, accuracy) for epoch, accuracy in enumerate(test_accuracies, 1)]


def with_curves(seeds, rate=0.0, **curves):
    """Runs of digits with the test accuracies by epoch of each loss."""
    return [
        run._replace(
            config=run.config.model_copy(update={"rate": rate}),
            history=curve(*curves[run.config.loss.name]),
            belief=[Belief(0.9, 0.1)] * 3,
            environment=MACHINE,
        )
        for run in runs(seeds)
        if run.config.rate == 0.2 and run.config.loss.name in curves
    ]


@pytest.mark.parametrize(("cce", "passed"), [((0.1, 0.4, 0.9), 3), ((0.1, 0.4, 0.5), None), ((0.6, 0.1, 0.1), 1)])
def test_the_epoch_in_which_cross_entropy_passes_what_mae_ever_reaches(cce, passed):
    (found,) = passing_epochs(with_curves(1, cce=cce, mae=(0.2, 0.5, 0.4)))
    assert (found.best, found.best_epoch, found.passed_at) == (0.5, 2, passed)


def test_without_both_or_with_noise_there_is_nothing_to_pass():
    rising = (0.1, 0.2, 0.3)
    assert passing_epochs(with_curves(2, cce=rising, gce=rising)) == []
    assert passing_epochs(with_curves(2, rate=0.2, cce=rising, mae=rising)) == []


def test_the_markdown_shows_its_figures_and_says_how_it_was_made():
    found = with_curves(2, cce=(0.1, 0.4, 0.9), gce=(0.1, 0.4, 0.5))
    findings = Findings("A title", "labelnoise study run x", found, notes="What it means.")
    text, figures = study_markdown(findings, study_sections(findings))
    assert text.startswith("# A title\n\nWhat it means.\n\n## ")
    assert figures.keys() == {name for name in figures if f"]({name})" in text}
    assert len(figures) == 5
    assert all(svg.startswith("<svg") and svg.endswith("</svg>\n") for svg in figures.values())
    assert "`labelnoise study run x`" in text
    assert "zhang2018generalized" in text
    assert "x (x cores), Python" in text


@pytest.mark.parametrize(("counts", "told"), [((2, 2, 2), "2"), ((1, 3, 2), "1 to 3")])
def test_how_many_seeds_a_mean_is_over(counts, told):
    found = with_curves(3, cce=(0.1, 0.4, 0.9), gce=(0.1, 0.4, 0.5), mae=(0.1, 0.2, 0.3))
    wanted = dict(zip(("cce", "gce", "mae"), counts, strict=True))
    begun = [run for run in found if run.config.seed < wanted[run.config.loss.name]]
    assert f"deviation over the seeds ({told})." in study_sections(Findings("", "", begun))[0].text


def test_the_pruning_of_each_loss_is_its_own():
    def pruned(run, k, precision):
        loss, pruning = Part(name="pruned_gce", q=0.7, k=k), {"precision": precision, "recall": 0.5}
        return run._replace(
            config=run.config.model_copy(update={"loss": loss}), metrics=run.metrics | {"pruning": pruning}
        )

    found = with_curves(1, cce=(0.1, 0.4, 0.9))
    both = [pruned(run, k, precision) for run in found for k, precision in ((0.3, 0.9), (0.9, 0.6))]
    (section,) = (part for part in study_sections(Findings("", "", both)) if part.title == "Pruning")
    assert [row[1:3] for row in section.table.rows] == [["pruned_gce k=0.3", "90.0"], ["pruned_gce k=0.9", "60.0"]]


def test_all_machines_are_named():
    one, other = with_curves(2, cce=(0.1, 0.4, 0.9))
    found = Findings("", "", [one, other._replace(environment=MACHINE | {"processor": "y"})])
    text, _ = study_markdown(found, study_sections(found))
    assert "on x (x cores) and y (x cores), Python x" in text


def test_all_commits_are_named():
    one, other = with_curves(2, cce=(0.1, 0.4, 0.9))
    found = Findings("", "", [one, other._replace(environment=MACHINE | {"commit": None})])
    text, _ = study_markdown(found, study_sections(found))
    assert "torch x, labelnoise x (x) and labelnoise x (commit not recorded)." in text


def test_the_markdown_names_the_accelerator():
    found = [
        run._replace(environment=MACHINE | {"accelerator": "NVIDIA H100"})
        for run in with_curves(1, cce=(0.1, 0.4, 0.9))
    ]
    findings = Findings("A title", "labelnoise study run x", found)
    text, _ = study_markdown(findings, study_sections(findings))
    assert "x (x cores) with NVIDIA H100, Python" in text


def test_references_are_those_of_what_was_used():
    text = bibtex(with_curves(1, mae=(0.1, 0.2, 0.3)))
    assert text.count("@") == 4  # Lq, the ranking, MAE, digits
    assert "ghosh2017robust" in text


def test_there_is_an_entry_for_all_that_has_a_source():
    (run,) = with_curves(1, cce=(0.1, 0.2, 0.3))
    parts = [Part(name=name) for name in _BY_NAME]
    text = bibtex([run._replace(config=run.config.model_copy(update={"noise": part})) for part in parts])
    keys = {key for names in _BY_NAME.values() for key in names.split()}
    assert all(f"{{{key}," in text for key in keys)


def section(findings, title):
    (found,) = (part for part in study_sections(findings) if part.title == title)
    return found.table


def test_the_columns_of_the_table_hold_what_they_are_called():
    table = section(
        Findings("", "", with_curves(1, cce=(0.1, 0.4, 0.9))), "Test accuracy, and how well the wrong labels were found"
    )
    named = dict(zip(table.head, table.rows[0], strict=True))
    assert named == {
        "noise": "symmetric 0%",
        "loss": "cce",
        "best epoch": "90.0",
        "last epoch": "50.0",
        "AUROC": "90.0",
        "flags right": "80.0",
        "errors found": "70.0",
    }


def test_times_are_of_each_loss():
    found = [
        run._replace(seconds=10.0 if run.config.loss.name == "cce" else 20.0)
        for run in with_curves(1, cce=(0.1, 0.4, 0.9), gce=(0.1, 0.4, 0.9))
    ]
    assert section(Findings("", "", found), "Time").rows == [["cce", "10"], ["gce", "20"]]


@pytest.mark.parametrize(("open_set", "ours", "theirs"), [(False, 90.0, 81.88), (True, 50.0, 62.38)])
def test_published_figures_stand_beside_those_of_their_epoch(open_set, ours, theirs):
    told = {"dataset": Part(name="cifar10"), "rate": 0.4}
    found = [run._replace(config=run.config.model_copy(update=told)) for run in with_curves(1, cce=(0.1, 0.4, 0.9))]
    ((*_, epoch, published, here, difference),) = section(
        Findings("", "", found, open_set=open_set), "Beside the published figures"
    ).rows
    assert epoch == ("last" if open_set else "best")
    assert (float(published.rstrip(" *")), float(here)) == (theirs, ours)
    assert float(difference) == pytest.approx(ours - theirs, abs=0.051)
