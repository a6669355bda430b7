"""A recipe: a study as one TOML file, validated before anything runs."""

import tomllib
from collections.abc import Callable, Mapping
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from labelnoise import _registry, datasets, features, losses, models, noise, objectives
from labelnoise.runs import Part
from labelnoise.training import AUGMENTATIONS, SCHEDULES, Precision, resolve_precision

Rate = Annotated[float, Field(ge=0, le=1)]
Positive = Annotated[float, Field(gt=0)]


class NoiseGrid(Part):
    """A noise model with its settings, and the rates it is tried at."""

    rates: list[Rate] = Field(min_length=1)


class LearningRate(BaseModel):
    """One learning rate for all losses, chosen by the noisy validation accuracy of one of them at one noise rate."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    candidates: list[Positive] = Field(min_length=1)
    chosen_by: str
    at_rate: Rate
    """Of the recipe's first noise model."""
    seeds: int = Field(ge=1)
    """How many of the study's seeds take part in the choice."""
    each_loss: bool = False
    """Whether a second table gives every loss the learning rate that its own noisy validation chooses."""


class Recipe(BaseModel):
    """Data x noise x rate x loss x seed, all trained alike."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    title: str
    dataset: Part
    train_samples: int | None = None
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
    weight_decay: float = Field(ge=0)
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
    if "precision" in settings:
        settings["precision"] = resolve_precision(settings["precision"], device)
    try:
        recipe = Recipe(**settings)
    except ValidationError as error:
        first = max(error.errors(), key=lambda e: len(e["loc"]))  # of alternatives the one that came furthest
        where = ".".join(str(part) for part in first["loc"])
        got = "" if first["type"] == "missing" else f", got {first['input']!r}"
        raise ValueError(f"recipe setting {where}: {first['msg']}{got}") from None
    return _resolved(recipe)


def _resolved(recipe: Recipe) -> Recipe:
    """With every default written out, once all names are known to be registered."""

    def resolve(kind: str, registry: Mapping[str, Callable[..., Any]], part: Part, **more: Any) -> Any:
        return type(part)(name=part.name, **more, **_registry.resolve(kind, registry, part.name, part.settings))

    if isinstance(recipe.learning_rate, LearningRate):
        _registry.check_name("loss", recipe.learning_rate.chosen_by, objectives.names())
    losses_known = {**losses.REGISTRY, **objectives.REGISTRY}
    noises_known = {**noise.REGISTRY, "open_set": lambda dataset: None}  # it replaces inputs, so a run makes it itself
    resolved = recipe.model_copy(
        update={
            "dataset": resolve("data set", datasets.REGISTRY, recipe.dataset),
            "model": resolve("model", models.REGISTRY, recipe.model),
            "features": recipe.features and resolve("features", features.REGISTRY, recipe.features),
            "augment": recipe.augment and resolve("augmentation", AUGMENTATIONS, recipe.augment),
            "schedule": resolve("schedule", SCHEDULES, recipe.schedule),
            "losses": [resolve("loss", losses_known, loss) for loss in recipe.losses],
            "noises": [resolve("noise model", noises_known, grid, rates=grid.rates) for grid in recipe.noises],
        }
    )
    for loss in resolved.losses:
        if loss.name != "forward":  # which waits for its matrix
            objectives.build(loss.name, num_samples=1, **loss.settings)
    return resolved


def _change(settings: Any, name: str, value: Any) -> None:
    *parents, last = (int(part) if part.isdigit() else part for part in name.split("."))
    try:
        for part in parents:
            settings = settings[part]
        settings[last] = value
    except (KeyError, IndexError, TypeError):
        raise ValueError(f"the recipe has no setting {name!r}") from None


def _packaged() -> Traversable:
    return files("labelnoise.experiments") / "recipes"
