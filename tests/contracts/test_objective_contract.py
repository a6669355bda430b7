"""Every objective of the registry keeps one contract, in every combination of its settings."""

import inspect
from fractions import Fraction
from itertools import product

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from labelnoise import losses, objectives
from labelnoise.losses import GCELoss
from labelnoise.objectives import Objective, PrunedLoss, Stateless, pruned_gce
from labelnoise.testing import check_objective

SETTINGS = list(product(["exact", "table"], ["batch", "kept"], ["prune", "keep_previous"]))


@pytest.mark.parametrize("name", objectives.names())
def test_public_check(name, required):
    check_objective(lambda n: objectives.build(name, num_samples=n, **required(name, 5)))
    check_objective(lambda n: objectives.build(name, num_samples=n, **required(name, 2)), num_classes=2, seed=1)


@pytest.mark.parametrize(("update", "average", "on_empty"), SETTINGS)
@pytest.mark.parametrize("k", [0.02, 0.5])
def test_public_check_of_every_pruning(update, average, on_empty, k):
    settings = {"warmup": 1, "period": 1, "k": k, "update": update, "average": average, "on_empty": on_empty}
    check_objective(lambda n: pruned_gce(n, **settings))


def test_names_are_those_of_the_losses_and_the_registry():
    assert objectives.names() == sorted([*losses.names(), "pruned_gce"])
    assert isinstance(objectives.build("pruned_gce", num_samples=3), PrunedLoss)
    assert isinstance(objectives.build("gce", num_samples=3), Stateless)
    assert objectives.build("gce", num_samples=3, q=0.5).loss.q == 0.5
    assert objectives.build("pruned_gce", num_samples=3, q=0.5).loss.q == 0.5


@pytest.mark.parametrize(
    ("name", "settings", "message"),
    [
        ("pruned_gse", {}, "unknown loss 'pruned_gse'; did you mean 'pruned_gce'"),
        ("pruned_gce", {"warmpu": 1}, "unknown setting of pruned_gce 'warmpu'; did you mean 'warmup'"),
        ("gce", {"k": 0.5}, "unknown setting of gce 'k'"),
    ],
)
def test_unknown_names_are_refused(name, settings, message):
    with pytest.raises(ValueError, match=message):
        objectives.build(name, num_samples=3, **settings)


def test_pruned_gce_has_the_defaults_of_pruned_loss_and_gce_loss():
    def defaults(function):
        return {p.name: p.default for p in inspect.signature(function).parameters.values()}

    pruned, generic = defaults(pruned_gce), defaults(PrunedLoss)
    assert pruned.pop("q") == defaults(GCELoss)["q"] == 0.7
    assert generic.pop("loss") is inspect.Parameter.empty
    assert pruned == generic
    # q and k: section 4 of the paper; warmup: its CIFAR-10 setting; period: the public code.
    assert (generic["k"], generic["warmup"], generic["period"]) == (0.5, 40, 10)


def test_pruned_gce_passes_every_setting_on():
    settings = {"k": 0.3, "warmup": 7, "period": 3, "update": "table", "average": "kept", "on_empty": "keep_previous"}
    settings["class_names"] = ("cat", "dog")
    assert settings.keys() == inspect.signature(PrunedLoss).parameters.keys() - {"loss", "num_samples"}
    objective = pruned_gce(5, q=0.4, **settings)
    assert {name: getattr(objective, name) for name in settings} == settings
    assert (objective.loss.q, len(objective.kept)) == (0.4, 5)


class Remembering(Objective):
    """Keeps the contract: weighs every sample by what it last saw of it."""

    def __init__(self, num_samples):
        super().__init__()
        self.register_buffer("confidence", torch.ones(num_samples))

    def forward(self, logits, labels, index):
        if logits.ndim != 2 or labels.shape != logits.shape[:1] or index.shape != labels.shape:
            raise ValueError("shapes")
        values = self.values(logits, labels)
        weight = self.confidence[index]
        if self.training:
            self.remember(index, values.detach().neg().exp().float())
        return (weight * values).sum() / max(len(labels), 1)

    def values(self, logits, labels):
        return F.cross_entropy(logits.float(), labels, reduction="none")

    def remember(self, index, confidence):
        self.confidence[index] = confidence


def test_check_objective_takes_ones_own():
    check_objective(Remembering)


class InHalf(Remembering):
    def values(self, logits, labels):
        self.confidence = self.confidence.to(logits.dtype)
        return F.cross_entropy(logits, labels, reduction="none")

    def remember(self, index, confidence):
        pass


class Vector(Remembering):
    def forward(self, logits, labels, index):
        return self.values(logits, labels)


class Detached(Remembering):
    def values(self, logits, labels):
        return super().values(logits.detach(), labels)


class WithoutGradient(Remembering):
    def values(self, logits, labels):
        return 0 * super().values(logits, labels)


class EmptyMean(Remembering):
    def forward(self, logits, labels, index):
        return super().forward(logits, labels, index) * len(labels) / torch.tensor(len(labels))


class EmptyOne(Remembering):
    def forward(self, logits, labels, index):
        return super().forward(logits, labels, index) + (not len(labels))


class InPlace(Remembering):
    def forward(self, logits, labels, index):
        value = super().forward(logits, labels, index)
        index.zero_()
        return value


class OwnRandomness(Remembering):
    def values(self, logits, labels):
        return super().values(F.dropout(logits), labels)


class Counting(Remembering):
    def remember(self, index, confidence):
        self.confidence[index] += 1


class CountingInAStep(Remembering):
    def remember(self, index, confidence):
        self.confidence[index] = index.bincount()[index].float()


class InEval(Remembering):
    def forward(self, logits, labels, index):
        if not self.training:
            self.remember(index, torch.zeros(len(index)))
        return super().forward(logits, labels, index)


class EndEpochInEval(Remembering):
    def end_epoch(self, epoch, predict):
        self.confidence.copy_(predict())


class HiddenEval(Remembering):
    scale = 1.0

    def end_epoch(self, epoch, predict):
        self.scale = 1.0 if self.training else 2.0

    def values(self, logits, labels):
        return self.scale * super().values(logits, labels)


class Pickled(Remembering):
    def get_extra_state(self):
        return Fraction(1, 2)

    def set_extra_state(self, state):
        pass


class NotInState(Remembering):
    def __init__(self, num_samples):
        super().__init__(num_samples)
        self.register_buffer("confidence", torch.ones(num_samples), persistent=False)


class OtherState(Remembering):
    def get_extra_state(self):
        return {"epoch": float(self.confidence.sum())}

    def set_extra_state(self, state):
        self.confidence.fill_(state["epoch"])


class NotRefusing(Remembering):
    def forward(self, logits, labels, index):
        if logits.ndim != 2 or labels.shape != logits.shape[:1]:
            raise ValueError("shapes")
        return (self.confidence[index] * self.values(logits, labels)).sum() / max(len(labels), 1)


class RefusingLate(Remembering):
    def forward(self, logits, labels, index):
        if self.training and labels.ndim == 1:
            self.confidence[labels] = 0.5
        return super().forward(logits, labels, index)


class NotAnObjective(nn.Module):
    def __init__(self, num_samples):
        super().__init__()


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (NotAnObjective, "must give an Objective, got NotAnObjective"),
        (InHalf, "must be float32 or wider, got torch.float16"),
        (Vector, "must give a scalar"),
        (Detached, "has no gradient"),
        (WithoutGradient, "gradient of zero"),
        (EmptyMean, "NaN or infinite"),
        (EmptyOne, "empty batch must be zero, got 1.0"),
        (InPlace, "changes its inputs"),
        (OwnRandomness, "must give the same bits"),
        (Counting, "not where it is seen in two steps"),
        (CountingInAStep, "not where it is seen twice in one step"),
        (InEval, "changes in eval mode"),
        (EndEpochInEval, "changes in eval mode"),
        (HiddenEval, "in eval mode changes what it does in train mode"),
        (Pickled, "tensors and plain values only"),
        (NotInState, "must hold everything"),
        (OtherState, "comes back as another"),
        (NotRefusing, "must raise ValueError, raised nothing"),
        (RefusingLate, "before it remembers anything"),
    ],
)
def test_check_objective_notices(build, message):
    with pytest.raises(AssertionError, match=message):
        check_objective(build)
