"""A run is one frozen value; the hash of its canonical JSON is the run's id."""

import hashlib
import json
from collections.abc import Collection, Iterable
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from labelnoise.training import Precision

_BRIEF = 24  # characters of a setting in a table


class Part(BaseModel):
    """A registered name with its settings, such as ``{name = "gce", q = 0.7}``."""

    model_config = ConfigDict(frozen=True, extra="allow")
    name: str

    @property
    def settings(self) -> dict[str, Any]:
        """Everything but the name."""
        return self.model_extra or {}

    @property
    def label(self) -> str:
        """Name and settings in one line."""
        settings = ", ".join(f"{name}={value}" for name, value in self.settings.items())
        return f"{self.name}({settings})"


def short_names(parts: Iterable[Part]) -> dict[str, str]:
    """What people call each part, by its label: its name, with the settings in which those of one name differ.

    >>> list(short_names([Part(name="cce"), Part(name="gce", q=0.3), Part(name="gce", q=0.7)]).values())
    ['cce', 'gce q=0.3', 'gce q=0.7']
    """
    by_label = {part.label: part for part in parts}
    names: dict[str, str] = {}
    for label, part in by_label.items():
        alike = [other.settings for other in by_label.values() if other.name == part.name]
        differing = [
            f"{key}={_brief(value)}"
            for key, value in part.settings.items()
            if key != "checksum" and any(o.get(key) != value for o in alike)
        ]
        names[label] = " ".join([part.name, *differing])
    return names


def _brief(value: object) -> str:
    """``value`` as text, by a hash where it is as long as a matrix."""
    text = str(value)
    is_brief = isinstance(value, str) or len(text) <= _BRIEF
    return text if is_brief else hashlib.sha256(text.encode()).hexdigest()[:6]


class RunConfig(BaseModel):
    """Everything that decides a run's result, and nothing else: no path, no device, no name of a machine."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    dataset: Part
    dataset_checksum: str
    train_samples: int | None = Field(default=None, ge=2)
    """A stratified choice of so many training samples, the same for every seed; all without."""
    features: Part | None = None
    """How texts become vectors."""
    noise: Part
    rate: float = Field(ge=0, le=1)
    loss: Part
    model: Part
    augment: Part | None = None
    epochs: int = Field(ge=1)
    batch_size: int = Field(ge=1)
    learning_rate: float = Field(gt=0)
    momentum: float = Field(ge=0, lt=1)
    nesterov: bool = False
    weight_decay: float = Field(ge=0)
    schedule: Part
    validation_fraction: float = Field(gt=0, lt=1)
    precision: Precision
    compiled: bool = False
    """Whether ``torch.compile`` makes one program of the step, which rounds in another way."""
    stacked: bool = False
    """Whether it is trained by batched products, which round in another way; together with others where there are."""
    seed: int = Field(ge=0)

    @property
    def problem(self) -> tuple[str, str]:
        """What is to be learnt: the labels of data set and noise."""
        return self.dataset.label, self.noise.label

    @property
    def run_id(self) -> str:
        """Sixteen hexadecimal digits; a setting left at its default does not count, so a new one changes no old id."""
        settings = self.model_dump(mode="json", exclude_defaults=True)
        canonical = json.dumps(settings, sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(canonical.encode()).hexdigest()[:16]

    def stacks_with(self, other: "RunConfig") -> bool:
        """Whether both can be trained in one stack: they differ in noise, loss and seed alone."""
        own = {name: getattr(self, name) for name in ("noise", "rate", "loss", "seed")}
        return self.stacked and other.model_copy(update=own) == self


def problem_names(configs: Collection[RunConfig]) -> dict[tuple[str, str], str]:
    """What people call each run's problem: its noise's short name, after the data set's where there are several."""
    datasets = short_names(config.dataset for config in configs)
    noises = short_names(config.noise for config in configs)
    return {
        config.problem: f"{datasets[config.dataset.label]} " * (len(datasets) > 1) + noises[config.noise.label]
        for config in configs
    }
