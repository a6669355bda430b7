"""CLINC150: short requests to an assistant, 150 intents."""

import json
from collections import Counter
from pathlib import Path
from typing import Any

from labelnoise.datasets._dataset import Dataset
from labelnoise.datasets._source import Download, Expected, Source, find, missing
from labelnoise.datasets._texts import Labelled, read_text_csv, text_set

_NAME, _JSON = "clinc150", "data_full.json"
_CSV = ("train.csv", "test.csv")
_MAX_BYTES = 16 * 2**20  # the original has 2.5 MB
_EXPECTED = Expected(train=15_000, test=4_500, classes=150)


def clinc150(root: Path | str) -> Dataset:
    """CLINC150: 15,000 + 4,500 short English requests to an assistant, 150 intents, each equally frequent.

    Inputs are texts, in the order of the files. Training data are the official training texts alone. The official
    validation texts (``val.csv``, 3,000) are left out: their labels are clean, and here models are chosen by noisy
    labels split off from the training data; nor would results on 18,000 texts compare with those published on 15,000.
    The requests that are out of scope of all 150 intents are left out too.

    Source: S. Larson et al., An Evaluation Dataset for Intent Classification and Out-of-Scope Prediction, EMNLP 2019,
    https://github.com/clinc/oos-eval. Licence: CC BY 3.0.

    Args:
        root: folder with ``clinc150/``, which holds ``train.csv`` and ``test.csv`` (columns ``text`` and ``label``),
            or the original ``data_full.json``.

    Raises:
        ValueError: a file is missing, damaged or something else, or has not exactly 150 intents.

    Example: ``clinc150("data").train.inputs[0]`` asks how to say "I love you" in Italian.
    """
    files = _locate(Path(root))
    train, test = [read_text_csv(path) for path in files] if len(files) > 1 else _read_json(files[0])
    data = text_set(_NAME, train, test)
    if len(data.class_names) != _EXPECTED.classes:
        raise ValueError(f"{train.path} has {len(data.class_names)} intents, expected {_EXPECTED.classes}")
    return data


def _locate(root: Path) -> list[Path]:
    folder = root / _NAME
    tables = [path for path in (find(folder, name) for name in _CSV) if path]
    if len(tables) == len(_CSV):
        return tables
    if original := find(folder, _JSON):
        return [original]
    raise missing(_NAME, folder, f"{' and '.join(_CSV)} (or the original {_JSON})")


def _read_json(path: Path) -> tuple[Labelled, Labelled]:
    try:
        if path.stat().st_size > _MAX_BYTES:
            raise ValueError("it is too large")
        content: Any = json.loads(path.read_bytes())
        parts = [[(str(text), str(label)) for text, label in content[split]] for split in ("train", "test")]
    except OSError as error:
        raise ValueError(f"{path} cannot be read: {error.strerror or error}") from None
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise ValueError(f"{path} is not CLINC150's {_JSON}, or it is damaged: {error}") from None
    if not all(parts):
        raise ValueError(f"{path} holds no texts")
    train, test = (Labelled(path, *zip(*part, strict=True)) for part in parts)
    return train, test


def _check(path: Path) -> None:
    for part, count in zip(_read_json(path), (_EXPECTED.train, _EXPECTED.test), strict=True):
        frequencies = Counter(part.labels)
        if len(frequencies) != _EXPECTED.classes or set(frequencies.values()) != {count // _EXPECTED.classes}:
            raise ValueError(
                f"{path} has {len(part.labels):,} texts of {len(frequencies)} intents, "
                f"expected {count // _EXPECTED.classes} of each of {_EXPECTED.classes}"
            )


SOURCE = Source(
    folder=_NAME,
    locate=_locate,
    expected=_EXPECTED,
    downloads=(
        Download(f"https://raw.githubusercontent.com/clinc/oos-eval/master/data/{_JSON}", max_bytes=_MAX_BYTES),
    ),
    md5={},
    checks={_JSON: _check},
)
