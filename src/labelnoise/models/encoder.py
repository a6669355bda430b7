"""A pretrained text encoder from a local folder, with a classification head of its own."""

import json
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float, Int64
from safetensors.torch import load_file
from torch import Tensor, nn

from labelnoise import _transformers

_CONFIG, _WEIGHTS, _INDEX = "config.json", "model.safetensors", "model.safetensors.index.json"
_WANTED = "text encoder"
_OFTEN_NEW = "pooler"  # a layer before the head, which pretraining on masked words leaves out


class TextEncoder(nn.Module):
    """A sequence classifier of Hugging Face's transformers: token ids (n, length) -> logits (n, k).

    Padding, which stands at the end of a text, is hidden from the network; columns that are padding throughout the
    batch are cut off first, since attention costs the square of the length. A weight that layers share stands once in
    the ``state_dict``. No code of the folder is run, no pickle is read, and nothing is downloaded.

    Args:
        network: one of transformers.
        pad_id: the id that pads; ``Tokens.pad_id``.

    Example:
        >>> encoder = TextEncoder.load("bert-base-uncased", num_classes=3, pad_id=0)  # doctest: +SKIP
        >>> encoder(torch.tensor([[101, 1037, 2482, 102, 0]])).shape  # doctest: +SKIP
        torch.Size([1, 3])

    Raises:
        ValueError: texts with more tokens than the network has positions.
    """

    def __init__(self, network: nn.Module, *, pad_id: int) -> None:
        super().__init__()
        self.network: Any = network.train()  # transformers hands it over in eval mode, unlike any other new module
        self.pad_id = pad_id
        self._others = _other_names(self)
        self.register_state_dict_post_hook(_drop_others)
        self.register_load_state_dict_pre_hook(_add_others)

    @staticmethod
    def load(folder: str | Path, *, num_classes: int, pad_id: int) -> "TextEncoder":
        """The encoder in float32 with the folder's weights; layers it lacks come from torch's global generator.

        Raises:
            ValueError: transformers is not installed; a folder that is none, that has no config, no safetensors or
                not all weights of the encoder, or whose config asks for code to be run.
        """
        folder = Path(folder)
        _check_config(folder)
        weights = _read_weights(folder)
        with _transformers.reading(folder, _WANTED) as transformers:
            with torch.device("meta"):  # the class is all that is wanted of it
                empty = _build(transformers, folder, num_classes, pad_id)
            # Weights that are handed over leave no file to choose: some configs would have it choose a pickle.
            network, found = type(empty).from_pretrained(
                None,
                config=empty.config,
                state_dict=weights,
                dtype=torch.float32,
                ignore_mismatched_sizes=True,
                local_files_only=True,
                output_loading_info=True,
            )
        lost = [*found["missing_keys"], *(name for name, *_ in found["mismatched_keys"])]
        lost = [name for name in lost if name.startswith(f"{network.base_model_prefix}.") and _OFTEN_NEW not in name]
        if lost:
            raise ValueError(f"{folder} must hold the weights of its {_CONFIG}, got none that fit {min(lost)}")
        return TextEncoder(network, pad_id=pad_id)

    @staticmethod
    def from_config(folder: str | Path, *, num_classes: int, pad_id: int) -> "TextEncoder":
        """The same network with random weights, in whose place a ``state_dict`` comes.

        Raises:
            ValueError: as :meth:`load`, whatever weights the folder has.
        """
        folder = Path(folder)
        _check_config(folder)
        with _transformers.reading(folder, _WANTED) as transformers:
            network = _build(transformers, folder, num_classes, pad_id)
        return TextEncoder(network, pad_id=pad_id)

    def save_config(self, folder: Path) -> None:
        """Write what :meth:`from_config` needs."""
        self.network.config.save_pretrained(folder)

    def forward(self, ids: Int64[Tensor, "n length"]) -> Float[Tensor, "n k"]:
        used = (ids != self.pad_id).any(0).nonzero()
        ids = ids[:, : int(used[-1]) + 1 if len(used) else 1]
        positions = getattr(self.network.config, "max_position_embeddings", -1)  # -1 is XLNet's word for no limit
        if 0 < positions < ids.shape[1]:
            raise ValueError(f"texts must have at most {positions} tokens for this network, got {ids.shape[1]}")
        return self.network(input_ids=ids, attention_mask=(ids != self.pad_id).long(), return_dict=True).logits


def _other_names(module: nn.Module) -> dict[str, str]:
    """The first name of each weight that has several: BART's encoder and decoder share their embeddings."""
    first: dict[nn.Parameter, str] = {}
    names = {name: first.setdefault(weight, name) for name, weight in module.named_parameters(remove_duplicate=False)}
    return {name: shared for name, shared in names.items() if name != shared}


def _drop_others(encoder: TextEncoder, state: dict[str, Tensor], prefix: str, _: Any) -> None:
    for name in encoder._others:
        del state[prefix + name]


def _add_others(encoder: TextEncoder, state: dict[str, Tensor], prefix: str, *_: Any) -> None:
    # A weight that is missing altogether is for torch to report.
    state |= {
        prefix + name: state[prefix + first] for name, first in encoder._others.items() if prefix + first in state
    }


def _check_config(folder: Path) -> None:
    try:
        config = json.loads((folder / _CONFIG).read_text(encoding="utf-8"))
        asks_for_code = "auto_map" in config
    except OSError as error:
        raise ValueError(f"folder must be one with {_CONFIG}, got {folder}: {error.strerror}") from None
    except (ValueError, TypeError) as error:
        raise ValueError(f"{folder / _CONFIG} must be JSON, got a file that is not: {error}") from None
    if asks_for_code:
        raise ValueError(f"{folder / _CONFIG} asks for code to be run (auto_map), which is never done")


def _read_weights(folder: Path) -> dict[str, Tensor]:
    """From one safetensors file, or from those an index names."""
    try:
        if (folder / _WEIGHTS).is_file():
            return load_file(folder / _WEIGHTS)
        if (folder / _INDEX).is_file():
            files = set(json.loads((folder / _INDEX).read_text(encoding="utf-8"))["weight_map"].values())
            return {name: weight for file in files for name, weight in load_file(folder / file).items()}
    except Exception as error:  # JSON, a key, a file that is none of safetensors
        cause = f"{type(error).__name__}: {error}".splitlines()[0]
        raise ValueError(f"{folder} holds damaged weights: {cause}") from None
    pickles = ", ".join(sorted(file.name for file in folder.glob("*.bin"))) or "none"
    raise ValueError(f"{folder} must hold its weights in {_WEIGHTS}, got {pickles}; pickles are never read")


def _build(transformers: Any, folder: Path, num_classes: int, pad_id: int) -> Any:
    """The network that the config describes, with random weights."""
    config = transformers.AutoConfig.from_pretrained(
        str(folder),
        num_labels=num_classes,
        pad_token_id=pad_id,
        local_files_only=True,
        trust_remote_code=False,
    )
    automatic = transformers.AutoModelForSequenceClassification
    # No attention but transformers' own choice: a config may name an implementation that would be downloaded.
    return automatic.from_config(config, dtype=torch.float32, attn_implementation=None, trust_remote_code=False)
