"""Which labels are wrong: from the probabilities of any model, or from how a training run went."""

from labelnoise.audit.labels import audit_labels, estimate_noise_rate, estimate_transition_matrix, label_quality
from labelnoise.audit.result import Audit, AuditWarning, Estimate, csv_text, escape_cell, unescape_cell
from labelnoise.audit.training_record import RecordAudit, audit_record
from labelnoise.audit.transition import anchor_transition

__all__ = [
    "Audit",
    "AuditWarning",
    "Estimate",
    "RecordAudit",
    "anchor_transition",
    "audit_labels",
    "audit_record",
    "csv_text",
    "escape_cell",
    "estimate_noise_rate",
    "estimate_transition_matrix",
    "label_quality",
    "unescape_cell",
]
