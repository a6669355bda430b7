"""A recipe: a study as one TOML file, validated before anything runs."""

import tomllib
from importlib.resources import files
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from labelnoise import _registry
from labelnoise.runs import Part
from labelnoise.training import Precision

Rate = Annotated[float, Field(ge=0, le=1)]


class LearningRate(BaseModel):
    """One learning rate for all losses, chosen by the noisy validation accuracy of one of them at one noise rate."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    candidates: list[Annotated[float, Field(gt=0)]] = Field(min_length=1)
    chosen_by: str
    at_rate: Rate
    seeds: int = Field(ge=1)
    """How many of the study's seeds take part in the choice."""


class Recipe(BaseModel):
    """Data x noise x rate x loss, trained alike; the seeds are chosen when it is run."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    title: str
    dataset: str
    model: Part
    noise: Part
    rates: list[Rate] = Field(min_length=1)
    losses: list[Part] = Field(min_length=1)
    epochs: int
    batch_size: int
    momentum: float
    weight_decay: float
    schedule: Part
    validation_fraction: float
    precision: Precision
    learning_rate: LearningRate


def load_recipe(name: str) -> Recipe:
    """The packaged recipe called ``name``.

    Raises:
        ValueError: no such recipe, or one with an error: the message says where and what is allowed.
    """
    folder = files("labelnoise.experiments") / "recipes"
    known = [entry.name.removesuffix(".toml") for entry in folder.iterdir() if entry.name.endswith(".toml")]
    _registry.check_name("recipe", name, known)
    return parse_recipe((folder / f"{name}.toml").read_text())


def parse_recipe(text: str) -> Recipe:
    """A recipe from TOML.

    >>> parse_recipe("epoch = 3")
    Traceback (most recent call last):
    ValueError: unknown setting 'epoch'; did you mean 'epochs'? (one of: batch_size, dataset, ..., weight_decay)
    """
    try:
        settings = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ValueError(f"recipe is not TOML: {error}") from None
    for key in settings:
        _registry.check_name("setting", key, Recipe.model_fields)
    try:
        return Recipe(**settings)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise ValueError(f"recipe setting {where}: {first['msg']}, got {first['input']!r}") from None
