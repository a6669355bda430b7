"""Peak memory of training on many texts with many terms: TF-IDF rows stay sparse until a mini-batch is taken.

python -m benchmarks.text_memory
"""

import resource
import tempfile
import time
from pathlib import Path

import numpy as np
import torch

from labelnoise._types import Batch, Texts
from labelnoise.features import Tfidf
from labelnoise.models import MLP
from labelnoise.objectives import build
from labelnoise.training import build_schedule, child_generator, open_fabric, split_validation, train

TEXTS, TERMS, WORDS, CLASSES, LIMIT_MIB = 200_000, 50_000, 20, 20, 2048


def texts_and_labels() -> tuple[Texts, torch.Tensor]:
    """Words of Zipf's frequencies; three of each text's twenty tell its class, as a topic's words do."""
    random = np.random.default_rng(0)
    frequency = 1 / np.arange(1, TERMS + 1)
    words = random.choice(TERMS, size=(TEXTS, WORDS), p=frequency / frequency.sum()).astype(np.int32)
    words[:, WORDS // 2 :] = random.integers(TERMS, size=(TEXTS, WORDS // 2))  # so that rare terms occur at all
    labels = random.integers(CLASSES, size=TEXTS)
    words[:, :3] = labels[:, None] + CLASSES * random.integers(50, size=(TEXTS, 3))
    return Texts(" ".join(f"w{word}" for word in row) for row in words), torch.from_numpy(labels)


def peak_mib() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def main() -> None:
    torch.set_num_threads(1)
    texts, labels = texts_and_labels()
    data = Batch(texts, labels, torch.arange(TEXTS))
    start = time.perf_counter()
    before = peak_mib()
    rows = Tfidf(max_terms=TERMS).fit(texts).transform(texts)
    print(f"{TEXTS:,} texts x {rows.shape[1]:,} terms, {len(rows.value):,} entries; {before:.0f} MiB before, ", end="")
    print(f"{peak_mib():.0f} MiB after TF-IDF ({time.perf_counter() - start:.0f} s)")
    data = data._replace(inputs=rows)
    kept, held_out = split_validation(labels, fraction=0.1, generator=child_generator(0, "split"))
    training, validation = data.take(kept), data.take(held_out)
    model = MLP(rows.shape[1:], CLASSES, hidden=(128,))
    optimizer = torch.optim.SGD(model.parameters(), lr=1.0, momentum=0.9)
    steps = -(-len(kept) // 256)
    with tempfile.TemporaryDirectory() as folder:
        result = train(
            model,
            build("cce", num_samples=len(kept)),
            training,
            validation,
            fabric=open_fabric("cpu"),
            optimizer=optimizer,
            schedule=build_schedule("cosine", optimizer, epochs=1, steps_per_epoch=steps),
            epochs=1,
            batch_size=256,
            generator=child_generator(0, "order"),
            checkpoint=Path(folder) / "checkpoint.pt",
        )
    dense = TEXTS * rows.shape[1] * 4 / 2**20
    peak = peak_mib()
    print(f"validation accuracy {result.history[-1].validation_accuracy:.3f}; {time.perf_counter() - start:.0f} s")
    print(f"peak {peak:.0f} MiB of the whole process, {peak / dense:.3f} of the dense matrix alone ({dense:.0f} MiB)")
    if peak > LIMIT_MIB:
        raise SystemExit(f"more than {LIMIT_MIB} MiB")


if __name__ == "__main__":
    main()
