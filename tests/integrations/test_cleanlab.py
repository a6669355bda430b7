import numpy as np
import pytest

from labelnoise.audit import audit_labels
from labelnoise.integrations.cleanlab import label_issues, ranked_indices


@pytest.fixture(scope="module")
def arrays():
    random = np.random.default_rng(0)
    pred_probs = random.dirichlet([0.1, 0.1, 0.1], size=2000)
    labels = pred_probs.argmax(1)
    wrong = random.random(2000) < 0.2
    labels[wrong] = (labels[wrong] + 1) % 3
    return labels, pred_probs, wrong


def test_the_worst_come_first_and_only_what_is_flagged(arrays):
    labels, pred_probs, _ = arrays
    audit = audit_labels(pred_probs, labels)
    ranked = ranked_indices(audit)
    assert sorted(ranked) == np.flatnonzero(audit.is_issue).tolist()
    assert (np.diff(audit.quality[ranked]) >= 0).all()


def test_the_columns_are_cleanlabs_in_its_orientation(arrays):
    labels, pred_probs, wrong = arrays
    columns = label_issues(audit_labels(pred_probs, labels))
    assert columns["label_quality"][wrong].max() < columns["label_quality"][~wrong].mean()
    assert (columns["given_label"] == labels).all()
    assert (columns["predicted_label"][wrong] == (labels[wrong] - 1) % 3).mean() > 0.9


def test_parity_with_cleanlab(arrays):
    filters = pytest.importorskip("cleanlab.filter")
    labels, pred_probs, wrong = arrays
    theirs = filters.find_label_issues(labels, pred_probs)
    ours = label_issues(audit_labels(pred_probs, labels))
    assert ours["is_label_issue"].shape == theirs.shape
    assert ours["is_label_issue"].dtype == theirs.dtype
    # Both find nearly all of what is there; where they differ, ours is right more often.
    assert (ours["is_label_issue"] == wrong).mean() >= (theirs == wrong).mean()
    assert (ours["is_label_issue"] == theirs).mean() > 0.9


def test_cleanlab_learns_without_what_we_flag(arrays):
    pandas = pytest.importorskip("pandas")
    classification = pytest.importorskip("cleanlab.classification")
    labels, pred_probs, _ = arrays
    issues = pandas.DataFrame(label_issues(audit_labels(pred_probs, labels)))
    learner = classification.CleanLearning(verbose=False)
    learner.fit(pred_probs, labels, label_issues=issues)
    assert (learner.predict(pred_probs) == pred_probs.argmax(1)).mean() > 0.9
