"""Seeded draws: the masks of dropout, and other noise."""
