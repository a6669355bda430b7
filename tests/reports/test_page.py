"""Escaping; what the page holds is tested where it is made, in tests/tasks/test_demo.py."""

from labelnoise import datasets
from labelnoise.experiments import execute, load_data, load_recipe, read_all, study_runs
from labelnoise.reports import Findings, study_page, study_sections


def test_names_from_data_and_titles_are_escaped(tmp_path):
    hostile = "<script>alert(1)</script>"
    recipe = load_recipe("digits", {"epochs": 2, "seeds": 1, "losses.3.warmup": 1, "losses.3.k": 0.01})
    rates = {loss.label: 0.01 for loss in recipe.losses}
    configs = study_runs(recipe, load_data(recipe.dataset), learning_rates=rates)
    for config in configs:
        execute(config, tmp_path / "runs")
    runs = read_all(configs, tmp_path)
    data = datasets.load("digits")._replace(class_names=(hostile,) * 10)
    findings = Findings(hostile, hostile, runs, [], {hostile: {0.01: 0.5}}, hostile)
    page = study_page(findings, study_sections(findings), data)
    assert "<script" not in page
    assert page.count("&lt;script&gt;") >= 3
