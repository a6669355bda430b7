"""Train a model on noisy labels: one loop, exact resume, and a record of what every sample did."""

from labelnoise._types import Batch, TrainingRecord
from labelnoise.training._checks import NonFiniteLossError, check_warmup
from labelnoise.training.augment import REGISTRY as AUGMENTATIONS
from labelnoise.training.augment import build_augment
from labelnoise.training.checkpoint import load_checkpoint, save_checkpoint
from labelnoise.training.fabric import Precision, open_fabric, resolve_precision
from labelnoise.training.loop import (
    EpochMetrics,
    TrainingResult,
    evaluate,
    label_probability,
    predict,
    train,
)
from labelnoise.training.progress import open_progress, progress_bar
from labelnoise.training.record import Recorder
from labelnoise.training.schedule import REGISTRY as SCHEDULES
from labelnoise.training.schedule import build_schedule
from labelnoise.training.seeds import child_generator, child_seed, seeded
from labelnoise.training.split import split_validation
from labelnoise.training.stack import Member, train_stack
from labelnoise.training.trajectory import Trajectory
from labelnoise.training.worker import polling, working_for

__all__ = [
    "AUGMENTATIONS",
    "SCHEDULES",
    "Batch",
    "EpochMetrics",
    "Member",
    "NonFiniteLossError",
    "Precision",
    "Recorder",
    "TrainingRecord",
    "TrainingResult",
    "Trajectory",
    "build_augment",
    "build_schedule",
    "check_warmup",
    "child_generator",
    "child_seed",
    "evaluate",
    "label_probability",
    "load_checkpoint",
    "open_fabric",
    "open_progress",
    "polling",
    "predict",
    "progress_bar",
    "resolve_precision",
    "save_checkpoint",
    "seeded",
    "split_validation",
    "train",
    "train_stack",
    "working_for",
]
