"""How each task is learned, fitted, measured and shown: a file per task."""
