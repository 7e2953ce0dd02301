"""From held-out rows to what a model may say of its own uncertainty."""

from caveat.training.calibrate.calibrate import calibrate

__all__ = ["calibrate"]
