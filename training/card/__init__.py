"""The model card: one page of HTML that shows how far a model can be trusted."""

from caveat.training.card.card import card, with_card

__all__ = ["card", "with_card"]
