"""Judges what a bundle answers about rows whose truth is known."""

from training.judge.judge import judge
from training.judge.judged import Judged

__all__ = ["Judged", "judge"]
