"""A loss without memory, as an objective."""

from torch import Tensor, nn

from labelnoise.losses._contract import check_tensors
from labelnoise.objectives._objective import Objective


class Stateless(Objective):
    """Wraps any ``loss(logits, labels)`` that returns a scalar, such as ``GCELoss()`` or ``nn.CrossEntropyLoss()``.

    Raises:
        ValueError: an index of another shape than the labels; a loss that gives more than one number a batch.

    Example:
        >>> import torch
        >>> objective = Stateless(nn.CrossEntropyLoss())
        >>> objective(torch.zeros(2, 4), torch.tensor([0, 3]), torch.arange(2))
        tensor(1.3863)
    """

    def __init__(self, loss: nn.Module) -> None:
        super().__init__()
        self.loss = loss

    def forward(self, logits: Tensor, labels: Tensor, index: Tensor) -> Tensor:
        check_tensors(labels=labels, index=index)
        if index.shape != labels.shape:
            raise ValueError(f"index must have the labels' shape {tuple(labels.shape)}, got {tuple(index.shape)}")
        value = self.loss(logits, labels)
        if value.ndim:
            raise ValueError(f"loss must give one number a batch, its reduction mean or sum, got {tuple(value.shape)}")
        return value
