"""From a recipe to the runs it stands for."""

from collections.abc import Sequence
from statistics import fmean
from typing import Any

from labelnoise._types import Texts
from labelnoise.experiments.data import LoadedData
from labelnoise.experiments.noises import check_noise, expected_rate, identified
from labelnoise.experiments.recipe import LearningRate, Recipe
from labelnoise.experiments.stack import is_stacked
from labelnoise.runs import Part, Run, RunConfig


def tuning_runs(recipe: Recipe, data: LoadedData, *, loss: Part) -> list[RunConfig]:
    """The runs that choose the learning rate of ``loss``: every candidate at one noise rate."""
    rule = recipe.learning_rate
    if not isinstance(rule, LearningRate):
        raise ValueError(f"the recipe fixes the learning rate, to {rule}")
    (noise, rates), *_ = _noises(recipe, data)
    rate = rates[0] if rule.at_rate is None else rule.at_rate
    return [
        _config(recipe, data, noise, rate, loss, candidate, seed)
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
    """Every noise model x rate x seed x loss, so that runs of one problem follow each other; rates by loss label.

    Raises:
        ValueError: noise that does not fit the data.
    """
    return [
        _config(recipe, data, noise, rate, loss, learning_rates[loss.label], seed)
        for noise, rates in _noises(recipe, data)
        for rate in rates
        for seed in range(recipe.seeds)
        for loss in recipe.losses
    ]


def _noises(recipe: Recipe, data: LoadedData) -> list[tuple[Part, list[float]]]:
    """Every noise of the recipe with its rates, for these data.

    Raises:
        ValueError: data that are too few, or that lack features or want none; noise that does not fit them.
    """
    dataset, most = data.dataset, len(data.dataset.true_labels)
    if recipe.train_samples is not None and recipe.train_samples > most:
        raise ValueError(f"train_samples must be at most {most}, all of {dataset.name}, got {recipe.train_samples}")
    if isinstance(dataset.train.inputs, Texts) != (recipe.features is not None):
        wants = "holds no texts, and wants no features" if recipe.features else "holds texts, and wants features"
        raise ValueError(f"{dataset.name} {wants}")
    noises: list[tuple[Part, list[float]]] = []
    for grid in recipe.noises:
        part = Part(name=grid.name, **grid.settings)
        check_noise(part, data.dataset)
        noises.append((identified(part), grid.rates or [expected_rate(part, data.dataset)]))
    return noises


def _config(
    recipe: Recipe, data: LoadedData, noise: Part, rate: float, loss: Part, learning_rate: float, seed: int
) -> RunConfig:
    shared: dict[str, Any] = {
        name: getattr(recipe, name) for name in Recipe.model_fields.keys() & RunConfig.model_fields.keys()
    }
    chosen: dict[str, Any] = {"noise": noise, "rate": rate, "loss": loss, "learning_rate": learning_rate, "seed": seed}
    config = RunConfig(**shared | chosen, dataset=data.part, dataset_checksum=data.checksum)
    return config.model_copy(update={"stacked": is_stacked(config, data.dataset)})
