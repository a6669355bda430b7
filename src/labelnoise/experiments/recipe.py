"""A recipe: a study as one TOML file, validated before anything runs."""

import inspect
import json
import tomllib
from collections.abc import Callable, Mapping, Sequence
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path
from types import UnionType
from typing import Annotated, Any, Union, get_args, get_origin

import torch
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError
from pydantic.errors import PydanticSchemaGenerationError

from labelnoise import _registry, datasets, features, losses, models, objectives
from labelnoise.experiments.noises import NOISES, has_rate
from labelnoise.runs import Part
from labelnoise.training import AUGMENTATIONS, SCHEDULES, Precision, resolve_precision

Rate = Annotated[float, Field(ge=0, le=1)]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]

_SUPPLIED = {  # by a run, whatever the recipe says
    "data set": ("root",),
    "model": ("input_shape", "num_classes"),
    "loss": ("num_samples", "class_names"),
    "noise model": ("labels", "rate", "num_classes", "features", "generator"),
    "schedule": ("optimizer", "epochs", "steps_per_epoch"),
}
_ALTERNATIVES = ("LearningRate", "constrained-float", "float")  # pydantic's names for the kinds of learning rate


class NoiseGrid(Part):
    """A noise model with its settings, and the rates it is tried at; none where settings or data decide the rate."""

    rates: list[Rate] | None = Field(default=None, min_length=1)


class LearningRate(BaseModel):
    """One learning rate for all losses, chosen by the noisy validation accuracy of one of them at one noise rate."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    candidates: list[Positive] = Field(min_length=1)
    chosen_by: str
    at_rate: Rate | None = None
    """Of the recipe's first noise model, where that has a rate to choose."""
    seeds: int = Field(ge=1)
    """How many of the study's seeds take part in the choice."""
    each_loss: bool = False
    """Whether a second table gives every loss the learning rate that its own noisy validation chooses."""


class Recipe(BaseModel):
    """Data x noise x rate x loss x seed, all trained alike."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    title: str
    datasets: list[Part] = Field(min_length=1)
    """Each a study of its own, learning rate included, in one report."""
    train_samples: int | None = Field(default=None, ge=2)
    features: Part | None = None
    model: Part
    augment: Part | None = None
    noises: list[NoiseGrid] = Field(min_length=1)
    losses: list[Part] = Field(min_length=1)
    seeds: int = Field(ge=1)
    """Number of seeds, from 0."""
    epochs: int = Field(ge=1)
    batch_size: int = Field(ge=1)
    learning_rate: Positive | LearningRate
    momentum: float = Field(ge=0, lt=1)
    nesterov: bool = False
    weight_decay: float = Field(ge=0, allow_inf_nan=False)
    schedule: Part
    validation_fraction: float = Field(gt=0, lt=1)
    precision: Precision
    """A file may say ``"auto"``; that is settled by the device before anything else knows of it."""
    compiled: bool = False
    """Whether every run compiles its step, for which it takes minutes; such runs are never trained in stacks."""


def recipe_names() -> list[str]:
    """The packaged recipes, such as ``digits`` and ``paper/cifar10``."""

    def below(folder: Traversable, prefix: str) -> list[str]:
        names: list[str] = []
        for entry in folder.iterdir():
            if entry.is_dir():
                names += below(entry, f"{prefix}{entry.name}/")
            elif entry.name.endswith(".toml"):
                names.append(prefix + entry.name.removesuffix(".toml"))
        return sorted(names)

    return below(_packaged(), "")


def load_recipe(name: str, changes: dict[str, Any] | None = None, *, device: str = "cpu") -> Recipe:
    """The packaged recipe called ``name``, or the TOML file of that path, with ``changes`` to its settings.

    ``device`` is what its runs will be on: it decides what a precision of ``"auto"`` is.

    Raises:
        ValueError: no such recipe, or one with an error: the message says where and what is allowed.
    """
    if name.endswith(".toml"):
        try:
            text = Path(name).read_text()
        except OSError as error:
            raise ValueError(f"recipe {name} cannot be read: {error.strerror}") from None
        except UnicodeDecodeError as error:
            raise ValueError(f"recipe {name} is not UTF-8: {error}") from None
    else:
        _registry.check_name("recipe", name, recipe_names())
        text = (_packaged() / f"{name}.toml").read_text()
    return parse_recipe(text, changes, device=device)


def parse_recipe(text: str, changes: dict[str, Any] | None = None, *, device: str = "cpu") -> Recipe:
    """A recipe from TOML; ``changes`` maps dotted names such as ``model.hidden`` or ``losses.0.q`` to values.

    >>> parse_recipe("epoch = 3")  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    ValueError: unknown setting 'epoch'; did you mean 'epochs'? (one of: augment, ...)
    """
    try:
        settings = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ValueError(f"recipe is not TOML: {error}") from None
    for name, value in (changes or {}).items():
        _change(settings, name, value)
    for key in settings:
        _registry.check_name("setting", key, Recipe.model_fields)
    if isinstance(settings.get("learning_rate"), dict):
        for key in settings["learning_rate"]:
            _registry.check_name("setting of learning_rate", key, LearningRate.model_fields)
    if "precision" in settings:
        settings["precision"] = resolve_precision(settings["precision"], device)
    try:
        recipe = Recipe(**settings)
    except ValidationError as error:
        first = max(error.errors(), key=lambda e: len(e["loc"]))  # of alternatives the one that came furthest
        where = ".".join(str(part) for part in first["loc"] if part not in _ALTERNATIVES)
        got = "" if first["type"] == "missing" else f", got {first['input']!r}"
        raise ValueError(f"recipe setting {where}: {first['msg']}{got}") from None
    return _resolved(recipe)


def _resolved(recipe: Recipe) -> Recipe:
    """With every default written out, once all names are known to be registered and all settings of their type."""
    losses_known = {**losses.REGISTRY, **objectives.REGISTRY}
    rule = recipe.learning_rate
    if isinstance(rule, LearningRate):
        _registry.check_name("loss", rule.chosen_by, objectives.names())
        if rule.chosen_by not in {loss.name for loss in recipe.losses}:
            _resolve("loss", losses_known, Part(name=rule.chosen_by))  # which has to do without settings
    resolved = recipe.model_copy(
        update={
            "datasets": [_resolve("data set", datasets.REGISTRY, dataset) for dataset in recipe.datasets],
            "model": _resolve("model", models.REGISTRY, recipe.model),
            "features": recipe.features and _resolve("features", features.REGISTRY, recipe.features),
            "augment": recipe.augment and _resolve("augmentation", AUGMENTATIONS, recipe.augment),
            "schedule": _resolve("schedule", SCHEDULES, recipe.schedule),
            "losses": [_resolve("loss", losses_known, loss) for loss in recipe.losses],
            "noises": [_resolve("noise model", NOISES, grid, rates=grid.rates) for grid in recipe.noises],
        }
    )
    # Of what is there twice the seeds would count double.
    _check_distinct("datasets", resolved.datasets)
    _check_distinct("losses", resolved.losses)
    _check_distinct("noises", [Part(name=grid.name, **grid.settings) for grid in resolved.noises])
    for grid in resolved.noises:
        _check_distinct(f"rates of {grid.name}", grid.rates or [])
    if isinstance(rule, LearningRate):
        _check_distinct("learning_rate.candidates", rule.candidates)
    for loss in resolved.losses:
        matrix: dict[str, Any] = {}
        if loss.name == "forward":  # whose matrix is not known yet
            if loss.settings["transition"] not in ("true", "estimated"):
                raise ValueError(f"transition must be 'true' or 'estimated', got {loss.settings['transition']!r}")
            matrix = {"transition": torch.eye(2)}
        objectives.build(loss.name, num_samples=1, **loss.settings | matrix)
    for grid in resolved.noises:
        if has_rate(grid.name) != (grid.rates is not None):
            wants = "needs a setting 'rates'" if has_rate(grid.name) else "takes no rates: they follow from the rest"
            raise ValueError(f"noise model {grid.name} {wants}")
    if isinstance(rule, LearningRate) and has_rate(resolved.noises[0].name) != (rule.at_rate is not None):
        wants = "needs a setting 'at_rate'" if rule.at_rate is None else "takes no at_rate"
        raise ValueError(f"learning_rate {wants}, as the first noise model is {resolved.noises[0].name}")
    return resolved


def _resolve(kind: str, registry: Mapping[str, Callable[..., Any]], part: Part, **more: Any) -> Any:
    settings = _registry.resolve(kind, registry, part.name, part.settings, supplied=_SUPPLIED.get(kind, ()))
    parameters = inspect.signature(registry[part.name]).parameters
    for name, value in part.settings.items():
        _check_value(f"setting {name} of {part.name}", value, parameters[name].annotation)
    return type(part)(name=part.name, **more, **settings)


def _check_value(what: str, value: Any, annotation: Any) -> None:
    """As of JSON: lists for tuples, text for the keys of a table. No file holds a tensor: that is judged when made."""
    problems: list[str] = []
    for alternative in get_args(annotation) if get_origin(annotation) in (Union, UnionType) else [annotation]:
        try:
            TypeAdapter(alternative).validate_json(json.dumps(value), strict=True)
        except PydanticSchemaGenerationError:
            continue
        except TypeError:  # a date, of which JSON knows nothing
            problems.append("must be a number, a text, a list or a table")
        except ValidationError as error:
            problems.append(error.errors()[0]["msg"])
        else:
            return
    if problems:
        raise ValueError(f"{what}: {problems[0]}, got {value!r}")


def _check_distinct(name: str, values: Sequence[object]) -> None:
    for number, value in enumerate(values):
        if value in values[:number]:
            raise ValueError(f"{name} must differ from each other, got number {values.index(value)} again as {number}")


def _change(settings: Any, name: str, value: Any) -> None:
    *parents, last = name.split(".")
    try:
        for part in parents:
            settings = settings[_key(settings, part)]
        settings[_key(settings, last)] = value
    except (KeyError, IndexError, TypeError, ValueError):
        raise ValueError(f"the recipe has no setting {name!r}") from None


def _key(settings: Any, name: str) -> str | int:
    return int(name) if isinstance(settings, list) else name


def _packaged() -> Traversable:
    return files("labelnoise.experiments") / "recipes"
