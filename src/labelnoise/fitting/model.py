"""The model that is kept: weights, and everything a prediction needs beside them; never a pickle."""

import json
from pathlib import Path
from typing import Any, NamedTuple

import torch
from safetensors.torch import load_file
from safetensors.torch import save as safetensors_bytes
from torch import Tensor, nn

from labelnoise import _files
from labelnoise._plugin import is_plugin
from labelnoise.datasets._own import Columns, OwnData
from labelnoise.features import Tokens
from labelnoise.fitting.recipe import ENCODER, build_network
from labelnoise.fitting.transform import Transform, load_transform
from labelnoise.models import Normalize, TextEncoder
from labelnoise.runs import Part
from labelnoise.training import open_fabric, predict

_ROWS_AT_ONCE = 4096
WEIGHTS, CONFIG = "model.safetensors", "config.json"


class SavedModel(NamedTuple):
    """A network and how its inputs are made."""

    kind: str
    columns: Columns
    """Where a table has its inputs; the label column is not needed."""
    class_names: tuple[str, ...]
    input_shape: tuple[int, ...]
    model: Part
    transform: Transform
    network: nn.Module
    """With the weights that are kept."""

    def save(self, folder: Path) -> None:
        """Write the weights, then the config."""
        # Copies, for a weight that a network uses twice is in its state twice, which safetensors does not take as one.
        weights = {
            name: value.detach().cpu().clone(memory_format=torch.contiguous_format)
            for name, value in self.network.state_dict().items()
        }
        config = {
            "kind": self.kind,
            "columns": self.columns._replace(root=None),  # a path would not hold elsewhere
            "class_names": self.class_names,
            "input_shape": self.input_shape,
            "model": {name: value for name, value in self.model.model_dump(mode="json").items() if name != "folder"},
            "transform": _state(self.transform),
        }
        if isinstance(self.transform, Tokens) and isinstance(self.network, TextEncoder):
            (folder / ENCODER).mkdir(exist_ok=True)
            self.transform.save(folder / ENCODER)
            self.network.save_config(folder / ENCODER)
        for name, content in ((WEIGHTS, safetensors_bytes(weights)), (CONFIG, json.dumps(config, indent=1).encode())):
            with _files.replacing(folder / name) as file:
                file.write(content)

    def predict(self, data: OwnData, *, device: str = "cpu") -> Tensor:
        """Class probabilities (n, k) of every row."""
        if data.kind != self.kind:
            raise ValueError(f"data must be of the kind {self.kind}, as in training, got {data.kind}")
        fabric = open_fabric(device)
        network = self.network.to(fabric.device)
        parts: list[Tensor] = []
        for start in range(0, len(data.ids), _ROWS_AT_ONCE):
            raw: Any = data.inputs
            raw = raw.slice(start, _ROWS_AT_ONCE) if self.kind == "table" else raw[start : start + _ROWS_AT_ONCE]
            inputs: Any = self.transform.transform(raw)
            parts.append(predict(network, network.state_dict(), inputs, fabric=fabric).cpu())
        return torch.cat(parts)


def _state(transform: Transform) -> dict[str, Any]:
    """What the config keeps of it; a tokenizer has files of its own beside."""
    return {"max_length": transform.max_length} if isinstance(transform, Tokens) else transform.state()


def load_model(folder: Path, *, model: str | None = None) -> SavedModel:
    """What :meth:`SavedModel.save` wrote.

    Args:
        folder: of a finished fit.
        model: the user's own factory again, where the network is of such a one: no file may name code to run.

    Raises:
        ValueError: no model, a damaged one, or the user's own factory that was not given.
    """
    try:
        config = json.loads((folder / CONFIG).read_text())
        weights = load_file(folder / WEIGHTS)
        part = Part(**config["model"])
        columns = Columns._make(tuple(part) if isinstance(part, list) else part for part in config["columns"])
        kind, class_names, shape = config["kind"], tuple(config["class_names"]), tuple(config["input_shape"])
        is_encoder, state = part.name == ENCODER, config["transform"]
        longest = int(state["max_length"]) if is_encoder else 0
        transform = None if is_encoder else load_transform(kind, state)
    except OSError as error:
        raise ValueError(f"{folder} holds no fitted model: {error.strerror or error}") from None
    except Exception as error:  # JSON, a key, a type: the file is not what was written
        raise ValueError(f"{folder} holds a damaged model: {type(error).__name__}: {error}") from None
    if is_plugin(part.name) and model is None:
        raise ValueError(f"the network of {folder} is your own; give --model {part.name} to run its code")
    if transform is None:
        transform = Tokens(folder / ENCODER, max_length=longest)
        network = TextEncoder.from_config(folder / ENCODER, num_classes=len(class_names), **part.settings)
    else:
        network = build_network(part if model is None else Part(name=model), shape, len(class_names))
    if kind == "image":
        network = nn.Sequential(Normalize([0.0] * shape[0], [1.0] * shape[0]), network)
    try:
        network.load_state_dict(weights)
    except RuntimeError as error:
        raise ValueError(f"{folder} holds weights of another network: {str(error).splitlines()[0]}") from None
    return SavedModel(kind, columns, class_names, shape, part, transform, network)
