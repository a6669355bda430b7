"""What ``labelnoise`` does, as typed Python functions; the command line calls these and prints."""

from labelnoise.tasks import study
from labelnoise.tasks.audit import audit_files
from labelnoise.tasks.demo import DemoResult, demo
from labelnoise.tasks.fit import FitResult, fit
from labelnoise.tasks.noise import NoisyCopy, add_noise
from labelnoise.tasks.predict import Predictions, predict
from labelnoise.tasks.review import Review, draw_review_sample, review

__all__ = [
    "DemoResult",
    "FitResult",
    "NoisyCopy",
    "Predictions",
    "Review",
    "add_noise",
    "audit_files",
    "demo",
    "draw_review_sample",
    "fit",
    "predict",
    "review",
    "study",
]
