"""The network definitions, one architecture per file; nothing else in `models` imports torch."""
