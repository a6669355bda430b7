"""The public contracts: what every loss, objective and noise model keeps, as checks to run over one's own."""

from labelnoise.testing.loss import check_loss
from labelnoise.testing.noise import check_noise
from labelnoise.testing.objective import check_objective

__all__ = ["check_loss", "check_noise", "check_objective"]
