"""Measures of answers, as pure functions of the answers and the truths."""
