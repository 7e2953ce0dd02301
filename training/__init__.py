"""Offline: data, fit, export, evaluation. Everything here may need torch; nothing here serves."""
