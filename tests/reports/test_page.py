"""Escaping; what the page holds is tested where it is made, in tests/tasks/test_demo.py."""

from labelnoise import datasets
from labelnoise.experiments import execute, load_recipe, read_all, study_runs
from labelnoise.reports import study_page


def test_names_from_data_and_titles_are_escaped(tmp_path):
    hostile = "<script>alert(1)</script>"
    configs = study_runs(load_recipe("digits").model_copy(update={"epochs": 1}), 0.01, [0])
    for config in configs:
        execute(config, tmp_path)
    runs = read_all(configs, tmp_path)
    data = datasets.load("digits")._replace(class_names=(hostile,) * 10)
    page = study_page(runs, data, title=hostile, command=hostile, learning_rates={0.01: 0.5}, gallery=runs[0])
    assert "<script" not in page
    assert page.count("&lt;script&gt;") >= 3
