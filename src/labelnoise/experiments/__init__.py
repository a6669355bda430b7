"""Studies: recipes, the runs they stand for, and engines that do them."""

from labelnoise.experiments.local import read_all, run_all
from labelnoise.experiments.recipe import Recipe, load_recipe, parse_recipe
from labelnoise.experiments.run import execute
from labelnoise.experiments.sweep import choose_learning_rate, mean_validation_accuracy, study_runs, tuning_runs

__all__ = [
    "Recipe",
    "choose_learning_rate",
    "execute",
    "load_recipe",
    "mean_validation_accuracy",
    "parse_recipe",
    "read_all",
    "run_all",
    "study_runs",
    "tuning_runs",
]
