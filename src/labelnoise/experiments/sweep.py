"""From a recipe to the runs it stands for."""

from collections.abc import Sequence
from statistics import fmean
from typing import Any

from labelnoise.experiments.problem import LoadedData
from labelnoise.experiments.recipe import LearningRate, Recipe
from labelnoise.experiments.stack import is_stacked
from labelnoise.runs import Part, Run, RunConfig


def tuning_runs(recipe: Recipe, data: LoadedData, *, loss: Part) -> list[RunConfig]:
    """The runs that choose the learning rate of ``loss``: every candidate at one noise rate."""
    rule = recipe.learning_rate
    if not isinstance(rule, LearningRate):
        raise ValueError(f"the recipe fixes the learning rate, to {rule}")
    return [
        _config(recipe, data, Part(name=noise.name, **noise.settings), rule.at_rate, loss, candidate, seed)
        for noise in recipe.noises[:1]
        for seed in range(min(rule.seeds, recipe.seeds))
        for candidate in rule.candidates
    ]


def chooser(recipe: Recipe) -> Part:
    """The loss whose noisy validation chooses the learning rate of all."""
    rule = recipe.learning_rate
    name = rule.chosen_by if isinstance(rule, LearningRate) else recipe.losses[0].name
    return next((loss for loss in recipe.losses if loss.name == name), Part(name=name))


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


def study_runs(recipe: Recipe, data: LoadedData, *, learning_rates: dict[str, float]) -> list[RunConfig]:
    """Every noise model x rate x seed x loss, so that runs of one problem follow each other; rates by loss label."""
    return [
        _config(recipe, data, Part(name=noise.name, **noise.settings), rate, loss, learning_rates[loss.label], seed)
        for noise in recipe.noises
        for rate in noise.rates
        for seed in range(recipe.seeds)
        for loss in recipe.losses
    ]


def _config(
    recipe: Recipe, data: LoadedData, noise: Part, rate: float, loss: Part, learning_rate: float, seed: int
) -> RunConfig:
    shared: dict[str, Any] = {
        name: getattr(recipe, name) for name in Recipe.model_fields.keys() & RunConfig.model_fields.keys()
    }
    chosen: dict[str, Any] = {"noise": noise, "rate": rate, "loss": loss, "learning_rate": learning_rate, "seed": seed}
    dataset, checksum = data
    config = RunConfig(**shared | chosen, dataset_checksum=checksum)
    return config.model_copy(update={"stacked": is_stacked(config, dataset)})
