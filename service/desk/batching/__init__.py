"""Which rows run together, and when."""
