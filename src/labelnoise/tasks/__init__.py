"""What ``labelnoise`` does, as typed Python functions; the command line calls these and prints."""

from labelnoise.tasks import study
from labelnoise.tasks.audit import audit_files
from labelnoise.tasks.demo import DemoResult, demo
from labelnoise.tasks.noise import NoisyCopy, add_noise

__all__ = ["DemoResult", "NoisyCopy", "add_noise", "audit_files", "demo", "study"]
