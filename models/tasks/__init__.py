"""What a model answers: one task a file."""
