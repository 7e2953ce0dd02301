"""The network definitions: one architecture a file, and the only torch in `models`."""
