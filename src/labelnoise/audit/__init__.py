"""Which labels are wrong."""

from labelnoise.audit.training_record import RecordAudit, audit_record
from labelnoise.audit.transition import anchor_transition

__all__ = ["RecordAudit", "anchor_transition", "audit_record"]
