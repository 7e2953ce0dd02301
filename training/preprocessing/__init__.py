"""The preparation of raw rows, as modules that become part of the graphs; one kind of column a file."""
