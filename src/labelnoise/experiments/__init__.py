"""Studies: recipes, the runs they stand for, and engines that do them."""

from labelnoise.experiments.data import load_data
from labelnoise.experiments.local import read_all, run_all
from labelnoise.experiments.progress import study_progress
from labelnoise.experiments.recipe import Recipe, load_recipe, parse_recipe, recipe_names
from labelnoise.experiments.run import execute
from labelnoise.experiments.study import (
    Counts,
    Study,
    check_selection,
    count_runs,
    read_study,
    run_study,
    write_failures,
)
from labelnoise.experiments.sweep import (
    choose_learning_rate,
    chooser,
    mean_validation_accuracy,
    study_runs,
    tuning_runs,
)

__all__ = [
    "Counts",
    "Recipe",
    "Study",
    "check_selection",
    "choose_learning_rate",
    "chooser",
    "count_runs",
    "execute",
    "load_data",
    "load_recipe",
    "mean_validation_accuracy",
    "parse_recipe",
    "read_all",
    "read_study",
    "recipe_names",
    "run_all",
    "run_study",
    "study_progress",
    "study_runs",
    "tuning_runs",
    "write_failures",
]
