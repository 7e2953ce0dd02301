"""From held-out rows to what a model may say of its own uncertainty."""
