"""An audit in the words and orientation of cleanlab (2.9), which need not be installed.

What goes in is alike: ``audit_labels(pred_probs, labels)`` takes the arrays of ``find_label_issues``, the other way
round.
"""

import numpy as np

from labelnoise.audit import Audit


def label_issues(audit: Audit) -> dict[str, np.ndarray]:
    """The columns of ``CleanLearning.get_label_issues``: ``pd.DataFrame(label_issues(audit))`` goes where that goes.

    ``predicted_label`` is the suggested one, which is another than the given one wherever that is likelier wrong.

    >>> from labelnoise.audit import audit_labels
    >>> audit = audit_labels(np.tile([[0.9, 0.1], [0.2, 0.8]], (50, 1)), np.array([0, 1] * 50))
    >>> list(label_issues(audit))
    ['is_label_issue', 'label_quality', 'given_label', 'predicted_label']
    """
    return {
        "is_label_issue": audit.is_issue,
        "label_quality": audit.quality,
        "given_label": audit.given,
        "predicted_label": audit.suggested,
    }


def ranked_indices(audit: Audit) -> np.ndarray:
    """The flagged samples, the worst first, as ``find_label_issues(.., return_indices_ranked_by=..)`` gives them.

    >>> from labelnoise.audit import audit_labels
    >>> labels = np.array([1, 1] + [0, 1] * 49)  # the first is wrong
    >>> ranked_indices(audit_labels(np.tile([[0.9, 0.1], [0.2, 0.8]], (50, 1)), labels, assume="instance"))
    array([0])
    """
    order = np.argsort(audit.quality, kind="stable")
    return audit.index[order[audit.is_issue[order]]]
