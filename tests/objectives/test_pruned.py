"""Alternative convex search: equation 13 and Algorithm 1 of the paper, against slow references."""

import copy
import math
import warnings
from datetime import timedelta
from itertools import product

import jaxtyping
import numpy as np
import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as mp
import torch.nn.functional as F
from torch import Tensor, nn

from labelnoise.losses import GCELoss, truncated_gce_loss
from labelnoise.objectives import Decision, PrunedLoss, PruningWarning, pruned_gce
from labelnoise.objectives.pruned import is_pruning_epoch, keep_previous, select_kept

Q, K = 0.7, 0.5


def lq(p: float, q: float = Q) -> float:
    return (1 - p**q) / q


def logits_of(p: list[float], labels: list[int], num_classes: int = 3) -> Tensor:
    """Logits, float64, whose softmax gives the labels the probabilities ``p``."""
    rows = [[math.log((1 - x) / (num_classes - 1))] * num_classes for x in p]
    for row, x, label in zip(rows, p, labels, strict=True):
        row[label] = math.log(x)
    return torch.tensor(rows, dtype=torch.float64)


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def bools(text: str) -> Tensor:
    return torch.tensor([letter == "1" for letter in text])


# --- when: the decision


@pytest.mark.parametrize(
    ("warmup", "period", "epochs"),
    [
        (1, 1, [*range(1, 31)]),
        (4, 5, [4, 9, 14, 19, 24, 29]),
        (5, 4, [5, 9, 13, 17, 21, 25, 29]),
        (30, 1, [30]),
        (31, 1, []),
        (10, 100, [10]),
    ],
)
def test_prunes_after_the_warmup_and_every_period_from_there(warmup, period, epochs):
    assert [e for e in range(1, 31) if is_pruning_epoch(e, warmup=warmup, period=period)] == epochs


# --- whom: the selection


@pytest.mark.parametrize(
    ("p", "k", "previous", "kept"),
    [
        ([0.9, 0.5, 0.1], 0.5, "111", "100"),  # at p == k: pruned, as documented
        ([0.9, 0.5, 0.1], 0.5, "000", "100"),  # a pruned sample returns
        ([0.0, 1.0], 0.01, "11", "01"),
        ([0.0, 1.0], 0.99, "00", "01"),
        ([math.nan, math.nan, 0.9], 0.5, "100", "101"),  # not seen: as it was
    ],
)
def test_select_kept(p, k, previous, kept):
    before = bools(previous)
    assert torch.equal(select_kept(torch.tensor(p), k, before), bools(kept))
    assert torch.equal(before, bools(previous))


@pytest.mark.parametrize("k", [0.1, 0.5, 0.75])
@pytest.mark.parametrize("q", [0.05, 0.7, 1.0])
@pytest.mark.parametrize("seed", range(3))
def test_the_selection_minimises_equation_13_over_all_masks(q, k, seed):
    """math.fsum rounds the exact sum once, so that equal and smaller need no tolerance."""
    p = [*torch.rand(6, generator=seeded(seed), dtype=torch.float64).tolist(), k, k]
    terms = [lq(x, q) - lq(k, q) for x in p]

    def equation_13(mask):
        return math.fsum(term for term, kept in zip(terms, mask, strict=True) if kept)

    chosen = select_kept(torch.tensor(p, dtype=torch.float64), k, torch.ones(8, dtype=torch.bool)).tolist()
    assert equation_13(chosen) == min(map(equation_13, product([False, True], repeat=8)))
    for tie in product([False, True], repeat=2):
        assert equation_13([*chosen[:6], *tie]) == equation_13(chosen)


@pytest.mark.parametrize(
    ("kept", "previous", "labels", "result"),
    [
        ("1000", "0111", [0, 0, 1, 1], "1011"),  # class 1 would be empty, class 0 not
        ("0000", "1111", [0, 0, 1, 1], "1111"),
        ("1010", "0101", [0, 0, 1, 1], "1010"),  # nobody is empty
        ("10", "10", [0, 1], "10"),  # was empty, stays empty
        ("100", "111", [0, -1, 3], "111"),  # classes without a sample between, and samples not seen
        ("1" + "0" * 99, "0" + "1" * 99, [0] * 100, "1" + "0" * 99),  # 1 % is enough
        ("1" + "0" * 100, "0" + "1" * 100, [0] * 101, "0" + "1" * 100),  # under 1 %
        ("1" * 7 + "0" * 693, "0" * 700, [0] * 700, "1" * 7 + "0" * 693),  # 0.01 * 700 is above 7 in floating point
    ],
)
def test_keep_previous(kept, previous, labels, result):
    assert torch.equal(keep_previous(bools(kept), bools(previous), torch.tensor(labels)), bools(result))


# --- the objective's value and gradient


@pytest.mark.parametrize("average", ["batch", "kept"])
@pytest.mark.parametrize("kept", ["111", "110", "001", "000"])
@pytest.mark.parametrize(
    "loss", [GCELoss(Q), nn.CrossEntropyLoss(), GCELoss(Q, weight=torch.tensor([0.5, 2.0, 1.0]), reduction="sum")]
)
def test_value_and_gradient_of_both_averages(loss, kept, average):
    objective = PrunedLoss(loss, 5, average=average)
    index, labels = torch.tensor([4, 0, 2]), torch.tensor([0, 1, 1])
    objective.kept[index] = bools(kept)
    logits = 2 * torch.randn(3, 3, generator=seeded(), dtype=torch.float64)
    per_sample = copy.deepcopy(loss)
    per_sample.reduction = "none"
    count = {"batch": 3, "kept": max(kept.count("1"), 1)}[average]

    given = logits.clone().requires_grad_()
    value = objective(given, labels, index)
    value.backward()
    wanted = 0.0
    for row, (letter, label) in enumerate(zip(kept, labels, strict=True)):
        alone = logits[row, None].clone().requires_grad_()
        loss_alone = per_sample(alone, label[None])[0]
        (gradient,) = torch.autograd.grad(loss_alone, alone)
        if letter == "1":
            wanted += loss_alone.item() / count
            # float64, three terms: a few ulp of 2e-16
            torch.testing.assert_close(given.grad[row], gradient[0] / count, rtol=1e-14, atol=1e-16)
        else:
            assert torch.equal(given.grad[row], torch.zeros(3, dtype=torch.float64))
    assert value.item() == pytest.approx(wanted, rel=1e-14)  # as above
    assert value.requires_grad


@pytest.mark.parametrize("loss", [GCELoss(Q), nn.CrossEntropyLoss()])
def test_a_pruned_sample_pulls_exactly_nothing_however_badly_it_fits(loss):
    objective = PrunedLoss(loss, 2)
    objective.kept[1] = False
    logits = torch.tensor([[1.0, 0.0], [1e30, -1e30]], requires_grad=True)
    objective(logits, torch.tensor([0, 1]), torch.tensor([0, 1])).backward()
    assert torch.equal(logits.grad[1], torch.zeros(2))
    assert logits.grad[0].any()


def test_right_after_a_pruning_it_is_the_truncated_loss_up_to_a_constant():
    """Equation 12: the same gradient, and a value that lacks L_q(k) for every pruned sample."""
    n = 40
    logits = (2 * torch.randn(n, 4, generator=seeded(), dtype=torch.float64)).requires_grad_()
    labels, index = torch.arange(n) % 4, torch.arange(n)
    objective = pruned_gce(n, q=Q, k=K, warmup=1)
    objective(logits, labels, index)
    objective.end_epoch(1, lambda: logits.softmax(1)[index, labels].detach())
    ours = objective(logits, labels, index)
    truncated = truncated_gce_loss(logits, labels, Q, k=K)
    pruned = n - int(objective.kept.sum())
    assert 0 < pruned < n
    # float64 sums of 40 values: some 40 ulp of 2e-16
    assert ours.item() + lq(K) * pruned / n == pytest.approx(truncated.item(), rel=1e-14)
    gradients = [torch.autograd.grad(value, logits, retain_graph=True)[0] for value in (ours, truncated)]
    torch.testing.assert_close(*gradients, rtol=1e-13, atol=1e-17)


# --- Algorithm 1


def test_algorithm_1_with_probabilities_of_a_script():
    """Every pruning decides anew for all samples, and only a pruning asks for probabilities."""
    script = {2: [0.9, 0.1, 0.6, 0.5], 5: [0.1, 0.9, 0.7, 0.51], 8: [0.8, 0.2, 0.3, 0.6]}
    kept_after = {1: "1111", 2: "1010", 3: "1010", 4: "1010", 5: "0111", 6: "0111", 7: "0111", 8: "1001"}
    objective = PrunedLoss(GCELoss(), 4, K, warmup=2, period=3)
    labels, index = torch.tensor([0, 0, 1, 1]), torch.arange(4)
    asked = []

    def predict():
        asked.append(epoch)
        return torch.tensor(script[epoch])

    assert objective.kept.all()
    for epoch, kept in kept_after.items():
        objective(torch.zeros(4, 2), labels, index)
        objective.end_epoch(epoch, predict)
        assert torch.equal(objective.kept, bools(kept)), epoch
    assert asked == [2, 5, 8]
    assert objective.decisions == [
        Decision(2, 0.5, {0: 0.5, 1: 0.5}),
        Decision(5, 0.75, {0: 0.5, 1: 1.0}),
        Decision(8, 0.5, {0: 0.5, 1: 0.5}),
    ]


def no_pass():
    pytest.fail("a pass over the training set for nothing")


def test_table_takes_what_the_epoch_just_ended_has_seen():
    objective = PrunedLoss(GCELoss(), 5, K, warmup=2, period=1, update="table")
    for epoch, (steps, kept) in enumerate(
        [
            ([{0: 0.9, 1: 0.1}, {2: 0.1, 3: 0.9, 4: 0.1}], "11111"),  # warm-up
            ([{0: 0.9, 1: 0.1, 2: 0.9}, {3: 0.1}], "10101"),  # sample 4 not seen: kept, whatever it was before
            ([{1: 0.9}, {0: 0.1}], "01101"),
            ([], "01101"),
            ([{0: 0.1}, {0: 0.9}], "11101"),  # the later one counts
        ],
        start=1,
    ):
        for step in steps:
            labels = [0] * len(step)
            objective(logits_of([*step.values()], labels), torch.tensor(labels), torch.tensor([*step]))
        objective.end_epoch(epoch, no_pass)
        assert torch.equal(objective.kept, bools(kept)), epoch


@pytest.mark.parametrize("on_empty", ["prune", "keep_previous"])
def test_table_equals_exact_while_the_model_is_frozen(on_empty):
    n, model = 60, nn.Linear(4, 3, bias=False)
    with torch.no_grad():
        model.weight.copy_(2 * torch.randn(3, 4, generator=seeded()))
    inputs, labels = torch.randn(n, 4, generator=seeded(1)), torch.arange(n) % 3
    p = model(inputs).softmax(1).gather(1, labels[:, None]).squeeze(1).detach()
    assert (p - K).abs().min() > 1e-5  # p of a table and of a pass differ by a few ulp of 6e-8, which decides nothing
    exact, table = (
        PrunedLoss(GCELoss(), n, K, warmup=1, period=2, update=update, on_empty=on_empty)
        for update in ("exact", "table")
    )
    for epoch in range(1, 4):
        for rows in torch.randperm(n, generator=seeded(epoch)).split(16):
            values = [objective(model(inputs[rows]), labels[rows], rows) for objective in (exact, table)]
            assert torch.equal(*values)
        exact.end_epoch(epoch, lambda: p)
        table.end_epoch(epoch, no_pass)
        assert torch.equal(exact.kept, table.kept)
    assert exact.decisions == table.decisions
    assert 0 < exact.decisions[0].kept < 1


# --- what a decision tells


def prune(labels, p, *, seen=None, **settings):
    """One pruning of samples with the given labels, of which the first ``seen`` came by in training."""
    objective = PrunedLoss(GCELoss(), len(labels), K, warmup=1, **settings)
    given = torch.tensor(labels)[:seen]
    logits = torch.zeros(len(given), len(settings.get("class_names", range(9))))
    objective(logits, given, torch.arange(len(given)))
    objective.end_epoch(1, lambda: torch.tensor(p))
    return objective


@pytest.mark.parametrize(
    ("labels", "p", "seen", "decision"),
    [
        ([0, 0, 0, 0, 2], [0.9, 0.1, 0.1, 0.1, 0.9], None, Decision(1, 0.4, {0: 0.25, 2: 1.0})),
        ([0, 0, 2, 2], [0.9, 0.1, 0.9, 0.1], 3, Decision(1, 0.5, {0: 0.5, 2: 1.0})),  # the last one's label is unknown
        ([0, -100, 2, 2], [0.9, 0.1, 0.9, 0.1], None, Decision(1, 0.5, {0: 1.0, 2: 0.5})),  # an ignored label
        ([0, 0], [0.1, 0.9], 0, Decision(1, 0.5, {})),
        ([0, 0, 0], [0.1, 0.1, 0.9], None, Decision(1, 1 / 3, {0: 1 / 3})),
    ],
)
def test_decisions_hold_the_share_kept_of_each_class(labels, p, seen, decision):
    assert prune(labels, p, seen=seen).decisions == [decision]


FEW = "pruning after epoch 1 keeps {} of the samples; start later (warmup), lower k, or set on_empty='keep_previous'"


@pytest.mark.parametrize(
    ("labels", "p", "settings", "messages"),
    [
        ([0, 1, 1], [0.1, 0.9, 0.9], {}, ["pruning after epoch 1 keeps no sample of: class 0"]),
        (
            [0, 1, 2, 1],
            [0.1, 0.1, 0.9, 0.1],
            {"class_names": np.array(["cat", "dog", "eel"])},  # as scikit-learn's LabelEncoder has them
            ["pruning after epoch 1 keeps no sample of: cat, dog"],
        ),
        ([0] * 101, [0.9] + [0.1] * 100, {}, [FEW.format("0.99%")]),
        ([3], [0.1], {}, ["pruning after epoch 1 keeps no sample of: class 3", FEW.format("0.00%")]),
        ([0] * 100, [0.9] + [0.1] * 99, {}, []),  # 1 % is enough
    ],
)
def test_warns_of_an_emptied_class_and_of_too_few_samples(labels, p, settings, messages):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        prune(labels, p, **settings)
    assert [(str(warning.message), warning.category) for warning in caught] == [(m, PruningWarning) for m in messages]


@pytest.mark.parametrize(
    ("labels", "p", "kept"),
    [
        ([0, 0, 1, 1], [0.1, 0.9, 0.1, 0.1], "0111"),
        ([0, 1], [0.1, 0.1], "11"),
        ([0] * 101, [0.9] + [0.1] * 100, "1" * 101),
    ],
)
def test_keep_previous_leaves_no_class_empty(labels, p, kept):
    objective = prune(labels, p, on_empty="keep_previous")
    assert torch.equal(objective.kept, bools(kept))
    assert all(objective.decisions[0].kept_per_class.values())


def test_keep_previous_returns_to_the_decision_before_not_to_the_start():
    objective = prune([0, 0, 1], [0.9, 0.1, 0.9], on_empty="keep_previous", period=1)
    objective.end_epoch(2, lambda: torch.tensor([0.1, 0.1, 0.9]))
    assert torch.equal(objective.kept, bools("101"))


# --- several processes


N = 12


def steps_of(epoch: int, rank: int) -> list[Tensor]:
    """Rows of each step: disjoint between two processes but for row 0, which both see; nobody sees row ``epoch``."""
    order = torch.randperm(N, generator=seeded(epoch)).tolist()
    order = [row for row in order if row not in (0, epoch)]
    return [torch.tensor([0, *order[rank::2][:2]]), torch.tensor(order[rank::2][2:])]


def train_on(ranks: list[int], update: str, on_empty: str) -> list[object]:
    """Three prunings of a model that changes from epoch to epoch and gives class 1 up, on the shares of some."""
    objective = PrunedLoss(GCELoss(), N, K, warmup=1, period=1, update=update, on_empty=on_empty)
    labels, trace = torch.arange(N) % 3, []
    for epoch in (1, 2, 3):
        logits = 3 * torch.randn(N, 3, generator=seeded(epoch)) + 2 * F.one_hot(labels, 3)
        logits[:, 1] -= 9 * (epoch == 2)
        for rank in ranks:
            for rows in steps_of(epoch, rank):
                objective(logits[rows], labels[rows], rows)
        objective.end_epoch(epoch, lambda logits=logits: logits.softmax(1)[torch.arange(N), labels])
        trace.append(objective.kept.tolist())
    return [trace, [tuple(decision) for decision in objective.decisions]]


PROCESS_CASES = [("table", "prune"), ("table", "keep_previous"), ("exact", "keep_previous")]


def one_of_two(rank: int, folder: str) -> None:
    torch.set_num_threads(1)
    warnings.simplefilter("ignore", PruningWarning)
    dist.init_process_group(
        "gloo", init_method=f"file://{folder}/rendezvous", rank=rank, world_size=2, timeout=timedelta(seconds=60)
    )
    try:
        torch.save([train_on([rank], *case) for case in PROCESS_CASES], f"{folder}/{rank}.pt")
    finally:
        dist.destroy_process_group()


@pytest.mark.filterwarnings("ignore::labelnoise.objectives.PruningWarning")
def test_two_processes_decide_as_one_does(tmp_path):
    alone = [train_on([0, 1], *case) for case in PROCESS_CASES]
    before = mp.active_children()
    mp.spawn(one_of_two, args=(str(tmp_path),), nprocs=2)
    assert mp.active_children() == before
    assert torch.load(tmp_path / "0.pt", weights_only=True) == alone
    assert torch.load(tmp_path / "1.pt", weights_only=True) == alone
    assert alone[0] != alone[1]  # the given up class really gets empty
    assert all(train_on([rank], *PROCESS_CASES[0]) != alone[0] for rank in (0, 1))  # one half is not enough


# --- whatever it wraps


class Mean(nn.Module):
    def forward(self, logits, labels):
        return F.cross_entropy(logits, labels)


class OneColumn(nn.Module):
    def forward(self, logits, labels):
        return F.cross_entropy(logits, labels, reduction="none")[:, None]


@pytest.mark.parametrize(("loss", "shape"), [(Mean(), r"\(\)"), (OneColumn(), r"\(4, 1\)")])
def test_a_loss_that_does_not_give_one_value_a_sample_is_refused(loss, shape):
    message = rf"loss must return one value a sample, shape \(4,\), got {shape}"
    with pytest.raises(ValueError, match=message):
        PrunedLoss(loss, 4)(torch.zeros(4, 3), torch.zeros(4, dtype=torch.int64), torch.arange(4))


@pytest.mark.parametrize("loss", [GCELoss(weight=torch.ones(3), reduction="sum"), nn.CrossEntropyLoss(torch.ones(3))])
def test_the_callers_loss_stays_as_it_is(loss):
    reduction, state = loss.reduction, copy.deepcopy(loss.state_dict())
    objective = PrunedLoss(loss, 2)
    objective.loss.weight.fill_(5)
    assert loss.reduction == reduction
    assert torch.equal(loss.weight, state["weight"])
    assert objective.loss.reduction == "none"


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"k": 0.0}, r"k must be within \(0, 1\), got 0.0"),
        ({"k": 1.0}, r"k must be within \(0, 1\), got 1.0"),
        ({"k": math.nan}, r"k must be within \(0, 1\), got nan"),
        ({"k": "0.5"}, r"k must be within \(0, 1\), got '0.5'"),
        ({"warmup": 0}, "warmup must be an integer of at least 1, got 0"),
        ({"period": 0}, "period must be an integer of at least 1, got 0"),
        ({"num_samples": 0}, "num_samples must be an integer of at least 1, got 0"),
        ({"num_samples": 4.0}, "num_samples must be an integer of at least 1, got 4.0"),
        ({"update": "tables"}, r"update must be one of \('exact', 'table'\), got 'tables'"),
        ({"average": "sum"}, r"average must be one of \('batch', 'kept'\), got 'sum'"),
        ({"on_empty": "keep"}, r"on_empty must be one of \('prune', 'keep_previous'\), got 'keep'"),
    ],
)
@pytest.mark.usefixtures("without_type_checks")
def test_bad_settings_are_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        pruned_gce(**({"num_samples": 4} | settings))
    with pytest.raises(ValueError, match=message):
        PrunedLoss(GCELoss(), **({"num_samples": 4} | settings))


@pytest.fixture
def without_type_checks():
    """The library as users have it: the run-time type checks would refuse a wrong word before it can say why."""
    jaxtyping.config.update("jaxtyping_disable", True)
    yield
    jaxtyping.config.update("jaxtyping_disable", False)


def test_predictions_of_another_length_are_refused():
    objective = PrunedLoss(GCELoss(), 4, warmup=1)
    with pytest.raises(ValueError, match=r"predict must return one .* a tensor of shape \(4,\), got \(1,\)"):
        objective.end_epoch(1, lambda: torch.tensor([0.9]))
    assert objective.kept.all()


@pytest.mark.usefixtures("without_type_checks")
def test_predictions_that_are_no_tensor_are_refused():
    with pytest.raises(ValueError, match=r"predict must return one .* a tensor of shape \(2,\), got list"):
        PrunedLoss(GCELoss(), 2, warmup=1).end_epoch(1, lambda: [0.9, 0.8])


def test_names_that_are_not_of_the_classes_are_refused():
    objective = PrunedLoss(GCELoss(), 4, class_names=["cat", "dog"])
    with pytest.raises(ValueError, match=r"^class_names must name every class of the logits, got 2 for 3 classes$"):
        objective(torch.zeros(1, 3), torch.tensor([0]), torch.tensor([0]))


@pytest.mark.parametrize(
    ("index", "message"),
    [
        ([-1, 0], r"index must be within \[0, 4\), one row a sample: index out"),
        ([3, 4], r"index must be within \[0, 4\), one row a sample: index out"),
        ([0.0, 1.0], "index must be int64, got torch.float32"),
        ([True, False], "index must be int64, got torch.bool"),
    ],
)
@pytest.mark.usefixtures("without_type_checks")
def test_an_index_that_is_no_row_of_the_memory_is_refused(index, message):
    objective = PrunedLoss(GCELoss(), 4)
    with pytest.raises(ValueError, match=message):
        objective(torch.zeros(2, 3), torch.tensor([0, 1]), torch.tensor(index))
    assert (objective.labels == -1).all()


def test_nothing_is_remembered_in_eval_mode():
    objective = PrunedLoss(GCELoss(), 2, update="table").eval()
    objective(torch.zeros(2, 3), torch.tensor([0, 1]), torch.arange(2))
    assert (objective.labels == -1).all()
    assert objective.seen.isnan().all()


def test_a_mean_over_the_kept_counts_no_ignored_label():
    logits, labels = torch.randn(3, 4, generator=seeded()), torch.tensor([2, -100, 1])
    objective = PrunedLoss(GCELoss(), 3, average="kept")
    assert objective(logits, labels, torch.arange(3)) == pytest.approx(GCELoss()(logits, labels).item())


@pytest.mark.parametrize("value", [math.nan, -1.0, 3.0])
def test_predictions_that_are_no_probabilities_are_refused(value):
    objective = PrunedLoss(GCELoss(), 2, warmup=1)
    with pytest.raises(ValueError, match=rf"predict must return probabilities within \[0, 1\], got {value:g}"):
        objective.end_epoch(1, lambda: torch.tensor([0.9, value]))
    assert objective.kept.all()


def test_a_warning_lists_ten_classes_at_the_most():
    objective = PrunedLoss(GCELoss(), 12, warmup=1)
    objective(torch.zeros(12, 12), torch.arange(12), torch.arange(12))
    with pytest.warns(PruningWarning) as caught:
        objective.end_epoch(1, lambda: torch.zeros(12))
    assert str(caught[0].message).endswith(": " + ", ".join(f"class {k}" for k in range(10)) + " and 2 more")


def test_the_epochs_that_a_sample_was_left_out_of_are_counted():
    objective = PrunedLoss(GCELoss(), 3, warmup=1, period=1)
    objective.end_epoch(1, lambda: torch.tensor([0.9, 0.1, 0.8]))  # a decision that holds from the second epoch on
    objective.end_epoch(2, lambda: torch.tensor([0.9, 0.1, 0.1]))
    objective.end_epoch(3, lambda: torch.tensor([0.9, 0.9, 0.9]))
    objective.end_epoch(4, lambda: torch.tensor([0.1, 0.9, 0.9]))
    assert objective.epochs_pruned.tolist() == [0, 2, 1]
