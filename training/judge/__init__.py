"""Judges what a bundle answers about rows whose truth is known."""

from caveat.training.judge.judge import judge
from caveat.training.judge.judged import Judged

__all__ = ["Judged", "judge"]
