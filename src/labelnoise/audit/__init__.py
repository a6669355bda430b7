"""Which labels are wrong."""

from labelnoise.audit.training_record import RecordAudit, audit_record

__all__ = ["RecordAudit", "audit_record"]
