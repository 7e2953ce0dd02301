"""The model card: one page of HTML that shows how far a model can be trusted."""
