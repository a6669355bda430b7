"""What ``labelnoise`` does, as typed Python functions; the command line calls these and prints."""

from labelnoise.tasks import study
from labelnoise.tasks.demo import DemoResult, demo

__all__ = ["DemoResult", "demo", "study"]
