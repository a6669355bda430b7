"""The faults of the public copies of this method (AlanChou/Truncated-Loss above all), which this one must not have."""

import copy
import inspect
from typing import NamedTuple

import pytest
import torch
from torch import Tensor, nn

from labelnoise import noise
from labelnoise._types import Batch
from labelnoise.losses import gce_loss
from labelnoise.objectives import Objective, PrunedLoss, pruned_gce
from labelnoise.training import TrainingResult, build_schedule, child_generator, open_fabric, seeded, train

# What a tiny problem prunes is no matter here.
pytestmark = pytest.mark.filterwarnings("ignore::labelnoise.objectives.PruningWarning")

N_TRAIN, N_VALIDATION, N_TEST = 90, 30, 200
EPOCHS, BATCH_SIZE, PRUNINGS = 6, 8, (2, 4, 6)


def blobs(n: int, stream: str, *, flip: float = 0.2) -> Batch:
    """Three Gaussian blobs, some with the label of the next; the rows are numbered from far above n."""
    generator = child_generator(0, stream)
    clean = torch.randint(3, (n,), generator=generator)
    inputs = torch.randn(n, 4, generator=generator) + 3 * torch.eye(3, 4)[clean]
    wrong = torch.rand(n, generator=generator) < flip
    return Batch(inputs, (clean + wrong) % 3, torch.arange(1000, 1000 + n))


TRAIN, VALIDATION, TEST = blobs(N_TRAIN, "train"), blobs(N_VALIDATION, "validation"), blobs(N_TEST, "test", flip=0)
# All wrong: the better the model, the worse it does here, and the first epoch is the best.
PERVERSE = TEST._replace(labels=(TEST.labels + 2) % 3).take(torch.arange(N_VALIDATION))


class Spy(Objective):
    """A pruned Lq that writes down what the loop asks of it and gives to it."""

    def __init__(self):
        super().__init__()
        self.inner = pruned_gce(N_TRAIN, warmup=2, period=2)
        self.index: list[Tensor] = []
        self.predicted: dict[int, list[Tensor]] = {}

    def forward(self, logits, labels, index):
        self.index.append(index.clone())
        return self.inner(logits, labels, index)

    def end_epoch(self, epoch, predict):
        def spied():
            self.predicted[epoch] = [predict(), predict()]
            return self.predicted[epoch][0]

        self.inner.end_epoch(epoch, spied)


class Run(NamedTuple):
    model: nn.Module
    optimizer: torch.optim.Optimizer
    objective: Spy
    result: TrainingResult
    after: list[dict[str, Tensor]]
    """The weights after each epoch, its pruning included."""
    modes: set[tuple[bool, bool]]
    """(in train mode, with gradient) of every pass through the model."""


def network(dropout: float = 0.0) -> tuple[nn.Module, torch.optim.Optimizer]:
    with seeded(0, "weights"):
        model = nn.Sequential(nn.Linear(4, 16), nn.ReLU(), nn.Dropout(dropout), nn.Linear(16, 3))
    return model, torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9, weight_decay=1e-4)


def run(*, validation=VALIDATION, test=TEST, dropout=0.0, epochs=EPOCHS, **kwargs) -> Run:
    model, optimizer = network(dropout)
    objective, after, modes = Spy(), [], set()
    model.register_forward_hook(lambda *_: modes.add((model.training, torch.is_grad_enabled())))
    with seeded(0, "layers"):
        result = train(
            model,
            objective,
            TRAIN,
            validation,
            test,
            fabric=open_fabric("cpu"),
            optimizer=optimizer,
            schedule=build_schedule("multi_step", optimizer, epochs=epochs, steps_per_epoch=-(-N_TRAIN // BATCH_SIZE)),
            epochs=epochs,
            batch_size=BATCH_SIZE,
            generator=child_generator(0, "order"),
            on_epoch=lambda _: after.append(copy.deepcopy(model.state_dict())),
            **kwargs,
        )
    return Run(model, optimizer, objective, result, after, modes)


def equal(first: dict[str, Tensor], second: dict[str, Tensor]) -> bool:
    return first.keys() == second.keys() and all(torch.equal(first[name], second[name]) for name in first)


def same_run(first: Run, second: Run) -> bool:
    """Equal to the bit but for the test accuracies: weights, best epoch, decisions and all that was recorded."""
    histories = [[metrics._replace(test_accuracy=0.0) for metrics in r.result.history] for r in (first, second)]
    return (
        histories[0] == histories[1]
        and equal(first.model.state_dict(), second.model.state_dict())
        and all(map(equal, first.after, second.after))
        and equal(first.result.best_state, second.result.best_state)
        and torch.equal(first.objective.inner.kept, second.objective.inner.kept)
        and first.objective.inner.decisions == second.objective.inner.decisions
        and all(map(torch.equal, first.result.record, second.result.record))
    )


def label_probability(state: dict[str, Tensor], inputs: Tensor = TRAIN.inputs) -> Tensor:
    model, _ = network()
    model.load_state_dict(state)
    with torch.no_grad():
        return model(inputs).softmax(1)[torch.arange(N_TRAIN), TRAIN.labels]


# "Best model chosen, and pruned with, on test accuracy; no validation split."


def test_the_test_set_chooses_nothing():
    poisoned = TEST._replace(labels=(TEST.labels + 1) % 3)
    honest, other = run(), run(test=poisoned)
    assert honest.result.history[-1].test_accuracy > 0.7 > 0.3 > other.result.history[-1].test_accuracy
    assert same_run(honest, other)


def test_the_pruning_model_is_the_best_on_noisy_validation():
    trained = run(validation=PERVERSE)
    test_accuracies = [metrics.test_accuracy for metrics in trained.result.history]
    assert trained.result.best_epoch == 1  # so that the best and the current model differ at every pruning
    assert test_accuracies.index(max(test_accuracies)) > 0  # and the test set would have chosen another
    for epoch in PRUNINGS:
        predicted = trained.objective.predicted[epoch][0]
        assert torch.equal(predicted, label_probability(trained.after[0]))
        assert not torch.equal(predicted, label_probability(trained.after[epoch - 1]))
    assert torch.equal(trained.objective.inner.kept, predicted > 0.5)


# "In a pruning epoch `net` is re-bound to a reloaded copy that the optimizer does not own."


def reference(validation: Batch) -> list[dict[str, Tensor]]:
    """Algorithm 1 in a plain loop: prune by the best model so far, train on from the current weights."""
    model, optimizer = network()
    order, w, best, after = child_generator(0, "order"), torch.ones(N_TRAIN), -1.0, []
    for epoch in range(1, EPOCHS + 1):
        for rows in torch.randperm(N_TRAIN, generator=order).split(BATCH_SIZE):
            optimizer.zero_grad()
            values = gce_loss(model(TRAIN.inputs[rows]), TRAIN.labels[rows], 0.7, reduction="none")
            ((w[rows] * values).sum() / len(rows)).backward()
            optimizer.step()
        accuracy = (model(validation.inputs).argmax(1) == validation.labels).double().mean().item()
        if accuracy > best:
            best, best_state = accuracy, copy.deepcopy(model.state_dict())
        if epoch in PRUNINGS:
            w = (label_probability(best_state) > 0.5).float()
        after.append(copy.deepcopy(model.state_dict()))
    return after


@pytest.mark.parametrize("validation", [PERVERSE, TEST], ids=["best stays behind", "best moves along"])
def test_training_goes_on_from_the_current_weights(validation):
    trained = run(validation=validation)
    assert 0 < trained.objective.inner.kept.sum() < N_TRAIN
    assert all(map(equal, trained.after, reference(validation)))


def test_every_epoch_after_a_pruning_trains_the_model_that_comes_back():
    trained = run(validation=PERVERSE)
    assert [decision.epoch for decision in trained.objective.inner.decisions] == [*PRUNINGS]
    for before, after in zip(trained.after, trained.after[1:], strict=False):
        assert not any(torch.equal(before[name], after[name]) for name in before)
    assert equal(trained.model.state_dict(), trained.after[-1])
    owned = {id(parameter) for group in trained.optimizer.param_groups for parameter in group["params"]}
    assert owned == {id(parameter) for parameter in trained.model.parameters()}


# "It also pickles whole modules, which torch >= 2.6 refuses by default."


def test_no_module_is_pickled(tmp_path):
    path = tmp_path / "checkpoint.pt"
    run(epochs=4, checkpoint=path)
    state = torch.load(path, weights_only=True)
    assert equal(state["model"], run(epochs=4).model.state_dict())
    assert same_run(run(checkpoint=path)._replace(after=[]), run()._replace(after=[]))


# "w is recomputed on randomly augmented images, without no_grad."


def test_w_is_computed_on_inputs_without_augmentation():
    calls = []

    def ruin(inputs, generator):
        calls.append(len(inputs))
        return inputs + 4 * torch.randn(inputs.shape, generator=generator)

    trained = run(augment=ruin)
    assert sum(calls) == EPOCHS * N_TRAIN  # the steps of training and nothing else
    best = trained.after[trained.result.best_epoch - 1]
    predicted = trained.objective.predicted[EPOCHS][0]
    assert torch.equal(predicted, label_probability(best))
    assert not torch.equal(
        predicted > 0.5, label_probability(best, ruin(TRAIN.inputs, child_generator(0, "ruin"))) > 0.5
    )


def test_w_is_computed_in_eval_mode_and_without_grad():
    trained = run(dropout=0.5)
    for first, second in trained.objective.predicted.values():
        assert torch.equal(first, second)
        assert not first.requires_grad
    best = trained.after[trained.result.best_epoch - 1]
    assert torch.equal(first, label_probability(best))  # of a network without dropout
    assert trained.modes == {(True, True), (False, False)}
    assert trained.model.training


# "'Class dependent' there is a pair flip over all classes, the noise seed is always 0. No Fashion-MNIST."

CIFAR10 = ["airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"]
CIFAR10_FLIPS = {"truck": "automobile", "bird": "airplane", "deer": "horse", "cat": "dog", "dog": "cat"}
FASHION = ["t-shirt", "trouser", "pullover", "dress", "coat", "sandal", "shirt", "sneaker", "bag", "boot"]
FASHION_FLIPS = {"boot": "sneaker", "sneaker": "sandal", "pullover": "shirt", "coat": "dress", "dress": "coat"}


@pytest.mark.parametrize(
    ("model", "names", "flips"),
    [(noise.cifar10_map, CIFAR10, CIFAR10_FLIPS), (noise.fashion_mnist_map, FASHION, FASHION_FLIPS)],
)
def test_class_dependent_noise_is_the_map_of_the_paper(model, names, flips):
    noisy = model(torch.arange(10), rate=1.0, generator=child_generator(0, "noise")).labels
    assert [names[label] for label in noisy] == [flips.get(name, name) for name in names]


@pytest.mark.parametrize("model", [noise.cifar10_map, noise.fashion_mnist_map])
def test_the_noise_seed_matters(model):
    labels = torch.arange(10).repeat(100)
    draws = [model(labels, rate=0.4, generator=child_generator(seed, "noise")).labels for seed in (0, 0, 1)]
    assert torch.equal(draws[0], draws[1])
    assert not torch.equal(draws[0], draws[2])


# "Test loss indexes training weights with test indices."


def test_evaluation_never_touches_the_training_weights():
    trained = run()  # more test samples than weights, and indices far above both
    steps = -(-N_TRAIN // BATCH_SIZE)
    assert len(trained.objective.index) == EPOCHS * steps
    for epoch in range(EPOCHS):
        rows = torch.cat(trained.objective.index[epoch * steps : (epoch + 1) * steps])
        assert torch.equal(rows.sort().values, torch.arange(N_TRAIN))
    assert torch.equal(trained.objective.inner.labels, TRAIN.labels)
    assert same_run(trained, run(test=None))


# "Float tensors hard-coded to CUDA."


@pytest.mark.parametrize("update", ["exact", "table"])
def test_device_and_dtype_follow_the_module(update):
    objective = pruned_gce(4, update=update).to("meta")
    assert {buffer.device.type for buffer in objective.buffers()} == {"meta"}
    logits, index = torch.zeros(4, 3, device="meta", requires_grad=True), torch.arange(4, device="meta")
    assert objective(logits, index % 3, index).device.type == "meta"
    for dtype in (torch.float32, torch.float64):
        objective = pruned_gce(4, update=update, warmup=1).to(dtype)
        value = objective(torch.zeros(4, 3, dtype=dtype), torch.arange(4) % 3, torch.arange(4))
        objective.end_epoch(1, lambda dtype=dtype: torch.ones(4, dtype=dtype))
        assert value.dtype == dtype
        assert objective.kept.dtype == torch.bool


# "Eq. 13 goes negative; expected. Eq. 12 stays positive."


def test_the_loss_shown_is_never_negative():
    """Left out of equation 13 are the terms -w L_q(k), which a confident sample makes negative."""
    logits, labels, index = torch.tensor([[9.0, 0.0], [0.0, 9.0]]), torch.tensor([0, 0]), torch.arange(2)
    objective = pruned_gce(2, q=0.7, k=0.5, warmup=1)
    objective(logits, labels, index)
    objective.end_epoch(1, lambda: logits.softmax(1)[:, 0])
    w = objective.kept
    equation_13 = (w * (gce_loss(logits, labels, 0.7, reduction="none") - (1 - 0.5**0.7) / 0.7)).sum()
    assert w.tolist() == [True, False]
    assert equation_13 < 0 <= objective(logits, labels, index)
    assert all(metrics.objective >= 0 for metrics in run().result.history)


# "Averaging over the batch with pruned samples in it shrinks the effective lr as pruning grows. State which."


def test_the_average_is_stated_and_either_can_be_had():
    logits, labels, index = (
        torch.randn(8, 3, generator=child_generator(0, "logits")),
        torch.arange(8) % 3,
        torch.arange(8),
    )

    def gradient(average, pruned, rows=index):
        objective = pruned_gce(8, average=average)
        objective.kept[:pruned] = False
        given = logits[rows].clone().requires_grad_()
        objective(given, labels[rows], rows).backward()
        return given.grad

    for pruned in (0, 2, 4, 6):
        alone = gradient("batch", pruned, index[pruned:])  # the kept ones as a batch of their own
        # float32: one division by 8 against one by the count, half an ulp of 6e-8 each
        torch.testing.assert_close(gradient("kept", pruned)[pruned:], alone, rtol=3e-7, atol=0)
        torch.testing.assert_close(gradient("batch", pruned)[pruned:], alone * (8 - pruned) / 8, rtol=3e-7, atol=0)
    assert inspect.signature(PrunedLoss).parameters["average"].default == "batch"
    assert '"batch"' in PrunedLoss.__doc__
    assert '"kept"' in PrunedLoss.__doc__
