import math
from pathlib import Path
from statistics import fmean, stdev

import pytest

from labelnoise.experiments import load_data, load_recipe, study_runs
from labelnoise.reports import results_csv, spread, summarise
from labelnoise.runs import Part, Run


def runs(seeds):
    recipe = load_recipe("digits", {"seeds": seeds})
    configs = study_runs(
        recipe, load_data(recipe.datasets[0]), learning_rates={loss.label: 0.01 for loss in recipe.losses}
    )
    return [
        Run(
            config,
            {},
            {
                "best_epoch": 3,
                "test_accuracy_best": 0.9 + 0.01 * config.seed,
                "test_accuracy_last": 0.5,
                "detection": {"auroc": 0.9, "precision": 0.8, "recall": 0.7},
            },
            1.0,
            [],
            [],
            Path(),
        )
        for config in configs
    ]


def test_a_summary_a_rate_and_loss_with_mean_and_spread_over_the_seeds():
    summaries = summarise(runs(3))
    assert len(summaries) == 8
    assert (summaries[0].problem, summaries[0].rate, summaries[0].loss, summaries[0].seeds) == (
        "symmetric",
        0.2,
        "cce",
        3,
    )
    assert summaries[0].best == (fmean([0.9, 0.91, 0.92]), stdev([0.9, 0.91, 0.92]))
    assert summaries[0].last == (0.5, 0.0)
    assert summaries[0].best.percent() == "91.0 ± 1.0"


def test_noise_models_of_one_name_are_told_apart_by_what_differs():
    def of(run, spread):
        return run._replace(
            config=run.config.model_copy(update={"noise": Part(name="instance_dependent", spread=spread)})
        )

    found = summarise([of(run, spread) for run in runs(2) for spread in (0.1, 0.3)])
    assert {(row.problem, row.seeds) for row in found} == {
        ("instance_dependent spread=0.1", 2),
        ("instance_dependent spread=0.3", 2),
    }


@pytest.mark.parametrize(("values", "expected"), [([0.5], (0.5, math.nan)), ([0.0, 1.0], (0.5, 0.5**0.5))])
def test_spread_is_the_sample_deviation(values, expected):
    assert spread(values) == pytest.approx(expected, nan_ok=True)


def test_one_seed_has_no_spread():
    assert spread([0.5]).percent() == "50.0"


def test_without_noise_there_is_nothing_to_find():
    assert spread([float("nan"), float("nan")]).percent() == "–"


def test_results_do_not_depend_on_the_order_of_the_runs():
    many = runs(12)
    text = results_csv(many)
    assert text == results_csv(many[::-1])
    seeds = [line.split(",")[5] for line in text.splitlines()[1:13]]
    assert seeds == [str(seed) for seed in range(12)]  # as numbers, not as text
