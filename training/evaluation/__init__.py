"""Evaluates a bundle on rows whose truth is known."""
