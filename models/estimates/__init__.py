"""Answers to rows: their passes, and the decisions that a request asks for."""
