"""Calibration of a model's uncertainty on held-out rows."""
