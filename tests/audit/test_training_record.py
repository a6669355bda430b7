import torch

from labelnoise._types import TrainingRecord
from labelnoise.audit import audit_record


def test_suspicion_is_minus_the_mean_margin_in_float32():
    margin = torch.randn(300, 7, generator=torch.Generator().manual_seed(0)).half()
    record = TrainingRecord(torch.arange(7), torch.zeros(7, dtype=torch.int64), margin.abs(), margin)
    audit = audit_record(record)
    # A float32 mean of 300 exactly converted values of size 1: 300 * 2^-24 at the very worst.
    torch.testing.assert_close(audit.suspicion.double(), -margin.double().mean(0), rtol=0, atol=2e-5)
    assert torch.equal(audit.is_issue, margin.double().mean(0) < 0)


def test_probability_of_the_label_keeps_what_float16_would_lose():
    loss = torch.tensor([[0.0, 1.0, 30.0]]).half()
    record = TrainingRecord(torch.arange(3), torch.zeros(3, dtype=torch.int64), loss, -loss)
    torch.testing.assert_close(record.label_probability, torch.tensor([[0.0, -1.0, -30.0]]).exp())
