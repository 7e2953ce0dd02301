"""Data to train on: bundled data sets, and the user's own files."""
