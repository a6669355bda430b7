import math

import pytest
import torch

from labelnoise.audit import anchor_transition
from labelnoise.noise import class_dependent


def seeded(seed):
    return torch.Generator().manual_seed(seed)


def probabilities(n, k, seed=0):
    return torch.randn(n, k, generator=seeded(seed), dtype=torch.float64).softmax(1)


def noise(k, seed=0):
    """A random matrix whose largest entry of each column lies on its diagonal."""
    return 0.6 * torch.eye(k, dtype=torch.float64) + 0.4 * probabilities(k, k, seed)


@pytest.mark.filterwarnings("error")
def test_arrays_of_any_layout_are_taken():
    given = probabilities(50, 3).numpy()
    for array in (given[::-1].copy()[::-1], given.astype(">f8")):
        array.setflags(write=False)
        assert torch.equal(anchor_transition(array), anchor_transition(torch.from_numpy(given)))


@pytest.mark.parametrize("k", [2, 3, 10, 40])
def test_exact_posteriors_with_anchors_give_the_true_matrix(k):
    """Patrini et al., theorem 3: somewhere each class is certain, so the largest p(noisy = i | x) is T_ii."""
    clean = probabilities(500, k)
    clean[torch.randperm(500, generator=seeded(1))[:k]] = torch.eye(k, dtype=torch.float64)
    estimate = anchor_transition(clean @ noise(k))
    # a row is divided by its sum, 1 up to k float64 roundings
    torch.testing.assert_close(estimate, noise(k), rtol=2 * k * 2**-53, atol=0)


def test_without_anchors_the_estimate_is_too_noisy():
    """The surest sample of class i is i with 90 % only, so its row is a mixture: the diagonal comes out too small."""
    clean = 0.9 * torch.eye(3, dtype=torch.float64) + 0.1 / 3
    assert (anchor_transition(clean @ noise(3)).diagonal() < noise(3).diagonal()).all()


def test_the_estimate_is_close_where_posteriors_are_counted_from_drawn_labels():
    k, each = 4, 40_000
    clean = torch.arange(k).repeat_interleave(each)
    labels = class_dependent(clean, transition=noise(k), generator=seeded(2)).labels
    counted = torch.bincount(clean * k + labels, minlength=k * k).view(k, k) / each
    # five standard deviations of a share
    assert (anchor_transition(counted) - noise(k)).abs().max() <= 5 * math.sqrt(0.25 / each)


def reference(rows, quantile):
    """In Python, row by row: order the column, count down from its top, keep the first of equals."""
    n, k = len(rows), len(rows[0])
    estimate = []
    for i in range(k):
        order = sorted(range(n), key=lambda row: (-rows[row][i], row))
        anchor = order[n - 1 - int(quantile * (n - 1))]
        estimate.append([value / math.fsum(rows[anchor]) for value in rows[anchor]])
    return torch.tensor(estimate, dtype=torch.float64)


@pytest.mark.parametrize("n", [1, 2, 7, 100, 101, 1000])
@pytest.mark.parametrize("quantile", [1.0, 0.97, 0.5, 1e-6])
@pytest.mark.parametrize("digits", [1, 16], ids=["ties", ""])
def test_any_quantile_is_the_slow_one(n, quantile, digits):
    given = probabilities(n, 5, seed=n).mul(10**digits).round().div(10**digits)
    given[:, 0] += 1 - given.sum(1)
    given = given.clamp_min(0) / given.clamp_min(0).sum(1, keepdim=True)
    # both divide by a sum of five float64 numbers
    torch.testing.assert_close(
        anchor_transition(given, quantile=quantile), reference(given.tolist(), quantile), rtol=1e-15, atol=0
    )


def test_the_variant_of_the_authors_code():
    """Their rule: of what lies below the 97th percentile (its upper neighbour), the largest."""
    given = probabilities(1234, 6)
    anchors = []
    for column in given.unbind(1):
        ordered = column.sort().values
        threshold = ordered[math.ceil(0.97 * (len(column) - 1))]
        anchors.append(torch.where(column >= threshold, 0, column).argmax())
    torch.testing.assert_close(anchor_transition(given, quantile=0.97), given[torch.stack(anchors)], rtol=1e-15, atol=0)


def test_passing_over_three_percent_needs_classes_larger_than_that():
    """The reason for the default: of 100 balanced classes, the 97th percentile of a column lies in another class."""
    for k, right in ((10, True), (100, False)):
        given = noise(k)[torch.arange(k).repeat_interleave(20)]
        assert torch.equal(anchor_transition(given, quantile=0.97).argmax(1), torch.arange(k)) == right
        assert torch.equal(anchor_transition(given).argmax(1), torch.arange(k))


def test_one_badly_overfitted_sample_decides_unless_passed_over():
    """The reason for the variant: a network that fits one wrong label nearly one-hot."""
    given = noise(3)[torch.arange(3).repeat(100)]
    given[7] = torch.tensor([0.0, 1.0, 0.0])
    assert torch.equal(anchor_transition(given)[1], torch.tensor([0.0, 1.0, 0.0], dtype=torch.float64))
    torch.testing.assert_close(anchor_transition(given, quantile=0.97), noise(3), rtol=1e-15, atol=0)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
def test_rows_sum_to_one_in_float64(dtype):
    estimate = anchor_transition(torch.randn(300, 100, generator=seeded(0)).to(dtype).softmax(1))
    assert estimate.dtype == torch.float64
    # k additions and one division in float64
    assert (estimate.sum(1) - 1).abs().max() <= 101 * 2**-52
    class_dependent(torch.arange(100), transition=estimate, generator=seeded(0))


def test_an_array_is_as_good_as_a_tensor():
    given = probabilities(50, 4)
    assert torch.equal(anchor_transition(given.numpy()), anchor_transition(given))


def test_the_input_is_left_alone():
    given = probabilities(50, 4)
    before = given.clone()
    anchor_transition(given, quantile=0.97)
    assert torch.equal(given, before)


HALVES = torch.full((3, 2), 0.5)


# Wrong types are the type hook's errors where the suite runs under it, and the package's own where it does not.
@pytest.mark.parametrize(
    ("given", "quantile", "message"),
    [
        (HALVES.tolist(), 1.0, "pred_probs"),
        (HALVES.long(), 1.0, "pred_probs"),
        (HALVES[0], 1.0, "pred_probs"),
        (HALVES[None], 1.0, "pred_probs"),
        (HALVES[:0], 1.0, r"pred_probs must be of shape \(n, k\), n and k not 0, got \(0, 2\)"),
        (HALVES[:, :0], 1.0, r"pred_probs must be of shape .*, got \(3, 0\)"),
        (torch.tensor([[1.5, -0.5]]), 1.0, r"pred_probs must be at least 0, got -0\.5"),
        (torch.tensor([[math.nan, 1.0]]), 1.0, "pred_probs must be at least 0, got nan"),
        (torch.tensor([[3.0, 2.0]]), 1.0, r"pred_probs must have rows that sum to 1, got a row that sums to 5\.0"),
        (torch.tensor([[0.5, 0.5], [0.0, 0.0]]), 1.0, r"pred_probs must have rows .* sums to 0\.0"),
        (torch.tensor([[math.inf, 0.0]]), 1.0, "pred_probs must have rows .* sums to inf"),
        (HALVES, 0.0, r"quantile must be within \(0, 1\], got 0\.0"),
        (HALVES, 97.0, r"quantile must be within \(0, 1\], got 97\.0"),
        (HALVES, math.nan, r"quantile must be within \(0, 1\], got nan"),
        (HALVES, True, "quantile"),
        (HALVES, "0.97", "quantile"),
    ],
)
def test_bad_input(given, quantile, message):
    with pytest.raises((ValueError, TypeError), match=message):
        anchor_transition(given, quantile=quantile)
