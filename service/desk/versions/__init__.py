"""Served versions of models, kept up to date with the store."""
