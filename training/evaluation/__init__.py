"""Evaluation of a bundle on rows with known truths."""
