"""From a recipe to the runs it stands for."""

from collections.abc import Iterable, Sequence
from statistics import fmean

from labelnoise import datasets
from labelnoise.experiments.recipe import Recipe
from labelnoise.runs import Part, Run, RunConfig


def tuning_runs(recipe: Recipe, seeds: Sequence[int]) -> list[RunConfig]:
    """The runs that choose the learning rate: the recipe's chooser, at one noise rate, with every candidate."""
    rule = recipe.learning_rate
    chooser = next((loss for loss in recipe.losses if loss.name == rule.chosen_by), Part(name=rule.chosen_by))
    return [
        _config(recipe, chooser, rule.at_rate, candidate, seed, _checksum(recipe))
        for candidate in rule.candidates
        for seed in seeds[: rule.seeds]
    ]


def mean_validation_accuracy(runs: Sequence[Run]) -> dict[float, float]:
    """Noisy validation accuracy at the best epoch, by learning rate in rising order."""
    accuracies: dict[float, list[float]] = {}
    for run in sorted(runs, key=lambda run: run.config.learning_rate):
        accuracies.setdefault(run.config.learning_rate, []).append(run.metrics["validation_accuracy_best"])
    return {rate: fmean(values) for rate, values in accuracies.items()}


def choose_learning_rate(runs: Sequence[Run]) -> float:
    """The learning rate of the highest :func:`mean_validation_accuracy`, the smallest of those that tie."""
    accuracies = mean_validation_accuracy(runs)
    return max(accuracies, key=accuracies.__getitem__)


def study_runs(recipe: Recipe, learning_rate: float, seeds: Iterable[int]) -> list[RunConfig]:
    """Every noise rate x loss x seed."""
    checksum = _checksum(recipe)
    return [
        _config(recipe, loss, rate, learning_rate, seed, checksum)
        for rate in recipe.rates
        for loss in recipe.losses
        for seed in seeds
    ]


def _checksum(recipe: Recipe) -> str:
    return datasets.load(recipe.dataset).checksum


def _config(recipe: Recipe, loss: Part, rate: float, learning_rate: float, seed: int, checksum: str) -> RunConfig:
    shared = recipe.model_dump(include=RunConfig.model_fields.keys() - {"learning_rate"})
    return RunConfig(**shared, loss=loss, rate=rate, learning_rate=learning_rate, seed=seed, dataset_checksum=checksum)
