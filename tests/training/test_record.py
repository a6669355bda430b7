import torch

from labelnoise._types import Batch
from labelnoise.training.record import Recorder


def test_the_margin_is_to_the_largest_of_the_other_logits():
    labels = torch.tensor([0, 1, 2, 0])
    recorder = Recorder(Batch(torch.zeros(4, 1), labels, torch.arange(4)), epochs=1, device=torch.device("cpu"))
    logits = torch.tensor([[3.0, 1.0, 2.0], [3.0, 1.0, 2.0], [3.0, 1.0, 2.0], [2.0, 2.0, 1.0]])
    recorder.add(1, logits, labels, torch.arange(4))
    assert recorder.result(1).margin.tolist() == [[1.0, -2.0, -1.0, 0.0]]
