"""Plots of one style."""
