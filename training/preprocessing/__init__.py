"""The preparation of raw rows, as modules that become part of the graphs; of a table one kind of column a file."""
