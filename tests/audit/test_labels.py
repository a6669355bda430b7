import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
from simulated import class_world, instance_world
from sklearn.isotonic import IsotonicRegression
from sklearn.metrics import roc_auc_score

from labelnoise.audit import (
    AuditWarning,
    audit_labels,
    estimate_noise_rate,
    estimate_transition_matrix,
    label_quality,
)
from labelnoise.audit.labels import _threshold


def test_clean_labels_stay_clean():
    probabilities, given, *_ = class_world(rate=0.0, sharpness=2.0)
    found = audit_labels(probabilities, given, assume="class")
    assert found.estimate.rate < 0.002
    assert found.is_issue.mean() < 0.001


@pytest.mark.parametrize("rate", [0.1, 0.2, 0.4])
def test_noise_by_class_is_counted_right_where_it_is_assumed(rate):
    probabilities, given, true, *_ = class_world(rate=rate, sharpness=2.0)
    found = audit_labels(probabilities, given, assume="class")
    assert found.estimate.rate == pytest.approx((given != true).mean(), rel=0.05)
    assert found.estimate.low <= (given != true).mean() <= found.estimate.high


def test_noise_by_instance_is_counted_right_where_it_is_assumed():
    probabilities, given, true = instance_world()
    found = audit_labels(probabilities, given, assume="instance")
    assert found.estimate.rate == pytest.approx((given != true).mean(), rel=0.05)


def test_without_an_assumption_the_interval_holds_both_worlds():
    for probabilities, given, true in (class_world(sharpness=2.0)[:3], instance_world()):
        found = estimate_noise_rate(probabilities, given)
        assert found.low <= (given != true).mean() <= found.high
        assert found.by_class <= found.rate <= found.by_instance


def test_the_interval_covers_the_truth_where_the_fit_rests_on_a_part_of_the_data():
    covered, widths = 0, []
    for seed in range(20):
        probabilities, given, true, *_ = class_world(n=100_000, k=3, seed=seed)
        found = estimate_noise_rate(probabilities, given, assume="class")
        covered += found.low <= (given != true).mean()  # the other end is the other reading's
        widths.append(found.by_class - found.low)
    assert covered >= 18  # of 97.5 %: two misses in twenty have a chance of 1 %
    # And no wider than that takes: 1.96 standard errors of a rate of .2 in the 20,000 rows that are fitted.
    assert np.mean(widths) == pytest.approx(1.96 * np.sqrt(0.2 * 0.8 / 20_000), rel=0.05)


def test_p_wrong_is_a_probability_where_its_reading_holds():
    probabilities, given, true, *_ = class_world(n=50_000, sharpness=2.0)
    found = audit_labels(probabilities, given, assume="class")
    wrong, checked = given != true, 0
    for low in np.arange(0, 1, 0.1):
        rows = (found.p_wrong >= low) & (found.p_wrong < low + 0.1)
        expected = found.p_wrong[rows].mean()
        # Four standard errors of the bin, and a tenth of the odds for those of the fit.
        error = 4 * np.sqrt(expected * (1 - expected) / rows.sum()) + 0.1 * expected * (1 - expected)
        assert abs(wrong[rows].mean() - expected) < error
        checked += rows.sum() > 500
    assert checked >= 5


def test_matrix_quality_and_flags_are_functions_of_one_audit():
    rows = np.array([[0.8, 0.2, 0, 0], [0, 0.7, 0.2, 0.1], [0, 0.1, 0.9, 0], [0.1, 0, 0, 0.9]])  # unlike its transpose
    probabilities, given, _, _, transition = class_world(transition=rows)
    found = audit_labels(probabilities, given, assume="class")
    assert np.abs(estimate_transition_matrix(probabilities, given, assume="class") - transition).max() < 0.03
    np.testing.assert_array_equal(label_quality(probabilities, given, assume="class"), 1 - found.p_wrong)
    np.testing.assert_array_equal(found.is_issue, found.p_wrong > 0.5)
    assert (found.suggested != found.given)[found.is_issue].all()
    assert found.joint.sum() == pytest.approx(len(given), rel=1e-4)


@pytest.mark.parametrize("share", [0.01, 0.05, 0.2])
def test_a_list_keeps_its_share_of_false_flags(share):
    probabilities, given, true, *_ = class_world(n=50_000, sharpness=2.0)
    found = audit_labels(probabilities, given, assume="class", max_false_flags=share)
    assert (1 - found.p_wrong[found.is_issue]).mean() <= share
    # At least 500 flags, of which a fifth at most is false: a standard error of 0.018.
    assert found.is_issue.sum() > 500
    assert (given == true)[found.is_issue].mean() <= share + 0.04
    assert (found.suggested != found.given)[found.is_issue].all()
    longer = np.sort(found.p_wrong)[::-1][: found.is_issue.sum() + 1]
    assert (1 - longer).mean() > share or longer[-1] <= 0.5


@pytest.mark.parametrize(
    "changed",
    [
        torch.from_numpy,
        lambda array: array.astype(array.dtype.newbyteorder()),
        lambda array: np.ascontiguousarray(array[::-1])[::-1],
        np.asfortranarray,
        lambda array: np.require(array, requirements="O").view(),
        lambda array: array.astype(np.longdouble if array.dtype.kind == "f" else np.uint16),
        lambda array: array.tolist(),
    ],
)
def test_the_same_numbers_are_the_same_audit_whatever_holds_them(changed):
    probabilities, given, *_ = class_world(n=2000)
    arrays = probabilities.astype(np.float32), given
    others = [changed(array) for array in arrays]
    if isinstance(others[0], np.ndarray):
        others[0].flags.writeable = False
    np.testing.assert_array_equal(audit_labels(*others).p_wrong, audit_labels(*arrays).p_wrong)


def test_a_piece_of_one_row_is_read_whatever_its_stride(monkeypatch):
    monkeypatch.setattr("labelnoise.audit.labels._ELEMENTS_AT_ONCE", 12)
    probabilities, given, *_ = class_world(n=100)  # 4 classes, so pieces of three rows and one
    wanted, reversed_ = probabilities.astype(np.float32), np.ascontiguousarray(probabilities[::-1].astype(np.float32))
    np.testing.assert_array_equal(audit_labels(reversed_[::-1], given).p_wrong, audit_labels(wanted, given).p_wrong)


def test_labels_that_are_equally_likely_wrong_are_flagged_together():
    p_wrong = np.array([0.9, 0.9, 0.6, 0.6, 0.6])
    assert (p_wrong > _threshold(p_wrong, 0.2)).tolist() == [True, True, False, False, False]
    assert (p_wrong > _threshold(p_wrong, 0.3)).all()


@pytest.mark.parametrize("mode", ["r", "r+", "c"])
def test_a_memory_map_is_read_and_left_as_it_is(tmp_path, mode):
    probabilities, given, *_ = class_world(n=2000)
    np.save(tmp_path / "p.npy", probabilities.astype(np.float32))
    bytes_before = (tmp_path / "p.npy").read_bytes()
    mapped = np.load(tmp_path / "p.npy", mmap_mode=mode)
    wanted = audit_labels(probabilities.astype(np.float32), given).p_wrong
    np.testing.assert_array_equal(audit_labels(mapped, given).p_wrong, wanted)
    np.testing.assert_array_equal(mapped, probabilities.astype(np.float32))
    assert (tmp_path / "p.npy").read_bytes() == bytes_before


def test_half_precision_rows_of_many_classes_sum_to_one():
    k = 3000  # of which a sum in float16 would be off by more than the tolerance
    pred_probs, labels = np.full((10, k), 1 / k, dtype=np.float16), np.arange(10)
    assert np.isfinite(audit_labels(pred_probs, labels).p_wrong).all()


def test_counts_of_more_rows_than_one_sum_holds_add_up(monkeypatch):
    probabilities, given, *_ = class_world(n=2000)
    whole = audit_labels(probabilities, given).joint
    monkeypatch.setattr("labelnoise.audit.labels._ROWS_PER_SUM", 300)
    monkeypatch.setattr("labelnoise.audit.labels._ELEMENTS_AT_ONCE", 400)
    np.testing.assert_allclose(audit_labels(probabilities, given).joint, whole, rtol=1e-5)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_differs_by_its_rounding_only(dtype):
    probabilities, given, *_ = class_world(n=5000)
    half = audit_labels(torch.from_numpy(probabilities).to(dtype), given)
    assert half.estimate.rate == pytest.approx(audit_labels(probabilities, given).estimate.rate, rel=0.05)


def test_an_audit_follows_predictions_in_any_mode():
    probabilities, given, *_ = class_world(n=500)
    wanted = audit_labels(probabilities, given).p_wrong
    with torch.inference_mode():
        inside = audit_labels(torch.from_numpy(probabilities).clone(), given)
    with torch.no_grad():
        np.testing.assert_array_equal(audit_labels(probabilities, given).p_wrong, wanted)
    np.testing.assert_array_equal(inside.p_wrong, wanted)
    learning = torch.from_numpy(probabilities).requires_grad_()
    np.testing.assert_array_equal(audit_labels(learning, given).p_wrong, wanted)
    assert learning.grad is None


def test_what_becomes_of_the_labels_later_does_not_matter():
    probabilities, given, *_ = class_world(n=500)
    before = probabilities.copy()
    found = audit_labels(probabilities, given)
    kept = found.given.copy()
    given[:] = 0
    np.testing.assert_array_equal(found.given, kept)
    np.testing.assert_array_equal(probabilities, before)


def test_a_class_that_nobody_gave_and_nothing_is_believed_to_be_keeps_its_own_label():
    probabilities, given, *_ = class_world(n=500)
    padded = np.hstack([probabilities, np.zeros((500, 1))])
    found = audit_labels(padded, given)
    assert found.transition.sum(1) == pytest.approx(1)
    assert found.transition[4].tolist() == [0, 0, 0, 0, 1]
    assert found.summary()["error_rate_by_given_class"]["4"] is None


def test_pieces_do_not_show(monkeypatch):
    probabilities, given, *_ = class_world(n=2000)
    whole = audit_labels(probabilities, given).p_wrong
    monkeypatch.setattr("labelnoise.audit.labels._ELEMENTS_AT_ONCE", 400)
    np.testing.assert_allclose(audit_labels(probabilities, given).p_wrong, whole, atol=1e-6)


def test_noise_where_the_model_is_surest_is_warned_of_and_read_as_noise_by_class():
    probabilities, given, *_ = class_world(rate=0.05)
    surest = np.argsort(-probabilities.max(1))[:2000]
    given[surest] = (given[surest] + 1) % 4
    with pytest.warns(AuditWarning, match="more often where it is surer"):
        found = audit_labels(probabilities, given)
    assert found.disagreement_rises
    assert found.estimate.rate == pytest.approx(found.estimate.by_class)
    with pytest.warns(AuditWarning, match="more often where it is surer"):
        asked = audit_labels(probabilities, given, assume="instance")
    assert asked.estimate.rate == pytest.approx(asked.estimate.by_instance) != found.estimate.rate


def test_the_seed_draws_the_part_that_the_fit_rests_on():
    probabilities, given, *_ = class_world(n=30_000)
    first, again, other = (audit_labels(probabilities, given, seed=seed).p_wrong for seed in (0, 0, 1))
    np.testing.assert_array_equal(first, again)
    assert (first != other).any()


PROBABILITIES, LABELS = np.full((4, 2), 0.5), np.array([0, 1, 0, 1])


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"pred_probs": PROBABILITIES[:, 0]}, r"pred_probs must be of shape \(n, k\).*got \(4,\)"),
        ({"pred_probs": np.ones((4, 2), dtype=np.int64)}, "pred_probs must be floating point, got int64"),
        ({"pred_probs": None}, "pred_probs must be floating point, got object"),
        ({"pred_probs": PROBABILITIES * 2}, "rows of at least 0 that sum to 1, got 1, 1, .. in row 0"),
        ({"pred_probs": np.array([[0.5, 0.5], [np.nan, 1], [1, 0], [0, 1]])}, "got nan, 1, .. in row 1"),
        ({"pred_probs": np.array([[0.5, 0.5], [1.5, -0.5], [1, 0], [0, 1]])}, "in row 1"),
        ({"pred_probs": np.array([[0.5, 0.5], [1, 0], [np.inf, 0], [-1, 0]])}, "got inf, 0, .. in row 2"),
        ({"pred_probs": np.full((4, 2), np.nan, dtype=np.float16)}, "got nan, nan, .. in row 0"),
        ({"labels": LABELS[:3]}, r"labels must be of shape \(4,\)"),
        ({"labels": LABELS.astype(float)}, "labels must be whole numbers, got float64"),
        ({"labels": LABELS.astype(str)}, "labels must be whole numbers, got <U"),
        ({"labels": LABELS + 1}, r"labels must be within \[0, 2\), .* got 1 to 2"),
        ({"labels": LABELS - 1}, r"labels must be within \[0, 2\), .* got -1 to 0"),
        ({"class_names": ["a"]}, "class_names must be 2 different ones.* got .'a',."),
        ({"class_names": ["a", "a"]}, "class_names must be 2 different ones"),
        ({"seed": -1}, "seed must be a whole number, 0 or more, got -1"),
        ({"max_false_flags": 1.0}, r"max_false_flags must be a fraction within \[0, 1\), got 1.0"),
        ({"pred_probs": PROBABILITIES[:1], "labels": LABELS[:1]}, r"both at least 2, got \(1, 2\)"),
    ],
)
def test_mistakes_are_named(changed, message):
    with pytest.raises(ValueError, match=message):
        audit_labels(**({"pred_probs": PROBABILITIES, "labels": LABELS} | changed))


@pytest.mark.usefixtures("without_shape_checks")
@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"assume": "both"}, "assume must be one of auto, class, instance, got 'both'"),
        ({"seed": 1.5}, "seed must be a whole number, 0 or more, got 1.5"),
    ],
)
def test_what_has_another_type_is_named(changed, message):
    with pytest.raises(ValueError, match=message):
        audit_labels(PROBABILITIES, LABELS, **changed)


@pytest.mark.parametrize("assume", ["class", "instance", "auto"])
def test_labels_that_are_surely_right_are_wrong_with_probability_zero_and_no_less(assume):
    probabilities, labels = np.tile([[0.9, 0.1], [0.2, 0.8]], (50, 1)), np.array([0, 1] * 50)
    found = audit_labels(probabilities, labels, assume=assume)  # whose posteriors round to more than 1
    assert (found.p_wrong >= 0).all()
    assert 0 <= found.estimate.low <= found.estimate.high < 0.1


def test_two_samples_are_few_but_no_error():
    assert np.isfinite(audit_labels(PROBABILITIES[:2], LABELS[:2]).p_wrong).all()


DETECTION = Path(__file__).parents[3] / "shared" / "data" / "detection"
needs_data = pytest.mark.skipif(
    not DETECTION.exists(), reason="the real data, ../shared/data beside the repository, are not here"
)


def real(name):
    with np.load(DETECTION / f"{name}_resnet18.npz") as arrays:
        probabilities, given, true = (arrays[key] for key in ("pred_probs", "given_labels", "true_labels"))
    return probabilities, given, given != true


def f1(flagged, wrong):
    return 2 * (flagged & wrong).sum() / (flagged.sum() + wrong.sum())


def best_f1(p_wrong, wrong):
    found = np.cumsum(wrong[np.argsort(-p_wrong)])
    return (2 * found / (np.arange(1, len(wrong) + 1) + wrong.sum())).max()


@needs_data
@pytest.mark.parametrize("name", ["cifar10n_aggregate", "cifar10n_worst"])
def test_on_human_labels_the_audit_is_as_good_as_the_probabilities_allow(name):
    probabilities, given, wrong = real(name)
    found = audit_labels(probabilities, given)
    own = probabilities[np.arange(len(given)), given]
    flags = f1(found.is_issue, wrong)
    assert flags > best_f1(found.p_wrong, wrong) - 0.02
    assert flags > f1(probabilities.argmax(1) != given, wrong) - 0.005
    assert roc_auc_score(wrong, found.p_wrong) >= roc_auc_score(wrong, -own)
    assert found.estimate.rate == pytest.approx(wrong.mean(), rel=0.15)
    assert found.estimate.low <= wrong.mean() <= found.estimate.high
    bins = np.minimum((found.p_wrong * 15).astype(int), 14)
    gaps = [abs((found.p_wrong - wrong)[bins == b].sum()) for b in range(15)]
    assert sum(gaps) / len(given) < 0.05
    fitted_to_the_truth = IsotonicRegression(increasing=False).fit(own, wrong).predict(own)
    assert ((found.p_wrong - wrong) ** 2).mean() < 1.1 * ((fitted_to_the_truth - wrong) ** 2).mean()


@needs_data
def test_a_list_to_a_stated_precision_holds_it_on_human_labels():
    probabilities, given, wrong = real("cifar10n_aggregate")
    found = audit_labels(probabilities, given, max_false_flags=0.1)
    assert wrong[found.is_issue].mean() >= 0.88
    assert found.is_issue[wrong].mean() >= 0.40


@needs_data
def test_misled_folds_are_warned_of_and_their_errors_found_all_the_same():
    probabilities, given, wrong = real("cifar10_synthetic20")
    with pytest.warns(AuditWarning, match="were they shuffled"):
        found = audit_labels(probabilities, given)
    assert f1(found.is_issue, wrong) >= 0.94
    assert roc_auc_score(wrong, found.p_wrong) >= roc_auc_score(wrong, -probabilities[np.arange(len(given)), given])


@needs_data
def test_shuffled_human_labels_give_no_warning():
    probabilities, given, _ = real("cifar10n_aggregate")
    with warnings.catch_warnings():
        warnings.simplefilter("error", AuditWarning)
        audit_labels(probabilities, given)
