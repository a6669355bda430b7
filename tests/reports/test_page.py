"""Escaping and the gallery; what else the page holds is tested where it is made, in tests/tasks/test_demo.py."""

import re

import pytest

from labelnoise import datasets
from labelnoise.experiments import execute, load_data, load_recipe, read_all, study_runs
from labelnoise.reports import Findings, study_page, study_sections
from labelnoise.reports.gallery import suspects
from labelnoise.runs import Part


@pytest.fixture
def runs(tmp_path):
    recipe = load_recipe("digits", {"epochs": 2, "seeds": 1, "losses.3.warmup": 1, "losses.3.k": 0.01})
    rates = {loss.label: 0.01 for loss in recipe.losses}
    configs = study_runs(recipe, load_data(recipe.datasets[0]), learning_rates=rates)
    for config in configs:
        execute(config, tmp_path / "runs")
    return read_all(configs, tmp_path)


def page_of(runs):
    findings = Findings("digits", "labelnoise", runs)
    return study_page(findings, study_sections(findings), lambda _: datasets.load("digits"))


def test_the_gallery_is_of_lq_where_its_samples_were_kept(runs):
    assert "training labels of gce on\n    digits at 40 %" in page_of(runs)
    for run in runs:
        if run.config.loss.name == "gce":
            (run.path / "samples.npz").unlink()
    assert re.search(r"training labels of (cce|mae|pruned_gce) on\n    digits at 40 %", page_of(runs))
    for run in runs:
        (run.path / "samples.npz").unlink(missing_ok=True)
    assert "training labels of" not in page_of(runs)


def test_the_gallery_is_of_the_lq_that_noisy_validation_likes_best(runs):
    lq = next(run for run in reversed(runs) if run.config.loss.name == "gce")
    loss = Part.model_validate({"name": "gce", **lq.config.loss.settings, "q": 0.3})
    for accuracy, told in ((1.0, "gce q=0.3"), (0.0, "gce q=0.7")):
        other = lq.config.model_copy(update={"loss": loss})
        page = page_of([*runs, lq._replace(config=other, metrics=lq.metrics | {"validation_accuracy_best": accuracy})])
        assert re.search(r"training labels of (.*) on", page)[1] == told


def test_the_gallery_begins_with_the_most_suspicious_and_knows_the_truth(runs):
    run = next(run for run in runs if (run.config.loss.name, run.config.rate) == ("gce", 0.4))
    data, samples = datasets.load("digits"), run.samples()
    index, margin = samples.record.index.tolist(), samples.record.margin.double().mean(0).tolist()
    told = zip(samples.record.labels.tolist(), samples.predicted.tolist(), strict=True)
    of, margin_of = dict(zip(index, told, strict=True)), dict(zip(index, margin, strict=True))
    true = dict(zip(data.train.index.tolist(), data.train.labels.tolist(), strict=True))
    shown = suspects(run, data, count=40)
    assert [suspect.sample for suspect in shown] == sorted(index, key=margin_of.__getitem__)[:40]
    for suspect in shown:
        truth = (*of[suspect.sample], true[suspect.sample])
        assert (suspect.given, suspect.suggested, suspect.true) == tuple(map(str, truth))
    wrong = sum(suspect.given != suspect.true for suspect in shown)
    assert re.search(rf"; {wrong} of them\s+are wrong", page_of(runs))


def test_names_from_data_and_titles_are_escaped(runs):
    hostile = "<script>alert(1)</script>"
    data = datasets.load("digits")._replace(class_names=(hostile,) * 10)
    findings = Findings(hostile, hostile, runs, [], {hostile: {0.01: 0.5}}, [(runs[0].config, hostile)], False, hostile)
    page = study_page(findings, study_sections(findings), lambda _: data)
    assert "<script" not in page
    assert page.count("&lt;script&gt;") >= 4


def test_code_in_notes_is_code_and_escaped(runs):
    findings = Findings("T", "x", runs, notes="By `a <b>`, and `c`.\n\nNo <i>more</i>.")
    page = study_page(findings, study_sections(findings), lambda _: datasets.load("digits"))
    assert "<p>By <code>a &lt;b&gt;</code>, and <code>c</code>.</p>" in page
    assert "<p>No &lt;i&gt;more&lt;/i&gt;.</p>" in page
