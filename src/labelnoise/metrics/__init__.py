"""Scores of models and audits."""

from labelnoise.metrics.detection import DetectionScores, detection_scores

__all__ = ["DetectionScores", "detection_scores"]
