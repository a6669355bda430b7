"""A robust model of the user's own data, and which of its labels are wrong: read, plan, train, choose, audit, save."""

from labelnoise.fitting.data import Prepared, Request, as_learned, prepare, read_other
from labelnoise.fitting.engine import Fitted, fit_candidates
from labelnoise.fitting.model import SavedModel, load_model
from labelnoise.fitting.plan import CANDIDATES, Plan, make_plan, parse_budget
from labelnoise.fitting.recipe import TrainingRecipe, build_network, build_objective, default_recipe, encoder_recipe
from labelnoise.fitting.train import Work

__all__ = [
    "CANDIDATES",
    "Fitted",
    "Plan",
    "Prepared",
    "Request",
    "SavedModel",
    "TrainingRecipe",
    "Work",
    "as_learned",
    "build_network",
    "build_objective",
    "default_recipe",
    "encoder_recipe",
    "fit_candidates",
    "load_model",
    "make_plan",
    "parse_budget",
    "prepare",
    "read_other",
]
