"""Scores of models and audits."""

from labelnoise.metrics.classification import ClassificationScores, classification_scores
from labelnoise.metrics.detection import DetectionScores, detection_scores

__all__ = ["ClassificationScores", "DetectionScores", "classification_scores", "detection_scores"]
