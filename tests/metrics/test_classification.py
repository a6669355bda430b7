import pytest
import torch
from sklearn.metrics import accuracy_score, balanced_accuracy_score, f1_score, recall_score

from labelnoise.metrics import classification_scores


@pytest.mark.parametrize("seed", range(3))
def test_scores_are_those_of_scikit_learn(seed):
    generator = torch.Generator().manual_seed(seed)
    labels, predicted = torch.randint(4, (2, 60), generator=generator)
    scores = classification_scores(predicted, labels, num_classes=4)
    assert classification_scores(predicted.numpy(), labels.numpy(), num_classes=4) == scores
    turned, foreign = predicted.numpy()[::-1].copy()[::-1], labels.numpy().astype(">i8")
    assert classification_scores(turned, foreign, num_classes=4) == scores
    assert scores.accuracy == pytest.approx(accuracy_score(labels, predicted))
    assert scores.balanced_accuracy == pytest.approx(balanced_accuracy_score(labels, predicted))
    assert scores.macro_f1 == pytest.approx(f1_score(labels, predicted, average="macro"))
    assert scores.recall_per_class == pytest.approx(list(recall_score(labels, predicted, average=None)))


def test_a_class_without_samples_has_no_recall_but_being_guessed_costs_f1():
    labels, predicted = torch.tensor([0, 0, 1, 1]), torch.tensor([0, 2, 1, 1])
    scores = classification_scores(predicted, labels, num_classes=4)
    assert scores.recall_per_class == [0.5, 1.0, None, None]
    assert scores.balanced_accuracy == 0.75
    assert scores.macro_f1 == pytest.approx((2 / 3 + 1 + 0) / 3)  # the fourth is neither there nor guessed


@pytest.mark.usefixtures("without_shape_checks")
@pytest.mark.parametrize("classes", [[0, 1, -1], [0, 1, 3], [[0], [1], [2]], [0, 1], [0.0, 1.0, 2.0]])
@pytest.mark.parametrize("first", [True, False])
def test_what_is_no_class_or_has_another_shape_is_refused(classes, first):
    right = torch.tensor([0, 1, 2])
    both = (torch.tensor(classes), right) if first else (right, torch.tensor(classes))
    with pytest.raises(ValueError, match=r"must be (int64 of shape|classes within)"):
        classification_scores(*both, num_classes=3)
