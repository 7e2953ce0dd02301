"""Rows to learn from: bundled data sets, and files of the user's own."""
