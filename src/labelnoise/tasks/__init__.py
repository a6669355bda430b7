"""What ``labelnoise`` does, as typed Python functions; the command line calls these and prints."""

from labelnoise.tasks import reproduce, study
from labelnoise.tasks.audit import audit_files
from labelnoise.tasks.data import fetch_data, list_data, verify_data
from labelnoise.tasks.demo import DemoResult, demo
from labelnoise.tasks.fit import FitResult, fit
from labelnoise.tasks.noise import NoisyCopy, add_noise
from labelnoise.tasks.predict import Predictions, predict
from labelnoise.tasks.review import Review, ReviewSample, draw_review_sample, review

__all__ = [
    "DemoResult",
    "FitResult",
    "NoisyCopy",
    "Predictions",
    "Review",
    "ReviewSample",
    "add_noise",
    "audit_files",
    "demo",
    "draw_review_sample",
    "fetch_data",
    "fit",
    "list_data",
    "predict",
    "reproduce",
    "review",
    "study",
    "verify_data",
]
