"""The generalized cross entropy in a training loop of your own: 20 lines of plain PyTorch, no trainer.

python examples/plain_loop.py
"""

import torch
from torch import nn

from labelnoise.datasets import digits
from labelnoise.losses import GCELoss
from labelnoise.models import MLP
from labelnoise.noise import symmetric
from labelnoise.training import child_generator, seeded, split_validation


def main(epochs: int = 30, seed: int = 0) -> nn.Module:
    torch.set_num_threads(1)
    data = digits()
    noisy = symmetric(data.train.labels, rate=0.4, num_classes=10, generator=child_generator(seed, "noise"))
    rows, held_out = split_validation(noisy.labels, fraction=0.2, generator=child_generator(seed, "split"))
    inputs, labels = data.train.inputs[rows], noisy.labels[rows]

    with seeded(seed, "weights"):
        model = MLP((1, 8, 8), num_classes=10, hidden=(256,))
    criterion = GCELoss(q=0.7)  # was: nn.CrossEntropyLoss()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.03, momentum=0.9)
    order = child_generator(seed, "order")
    for _ in range(epochs):
        for batch in torch.randperm(len(labels), generator=order).split(64):
            optimizer.zero_grad()
            criterion(model(inputs[batch]), labels[batch]).backward()
            optimizer.step()

    with torch.no_grad():
        accuracy = (model(data.test.inputs).argmax(1) == data.test.labels).float().mean()
        agreement = (model(data.train.inputs[held_out]).argmax(1) == noisy.labels[held_out]).float().mean()
    print(f"labels wrong {noisy.rate:.1%}, agreement with noisy validation {agreement:.1%}, test {accuracy:.1%}")
    return model


if __name__ == "__main__":
    main()
