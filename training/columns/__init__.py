"""The preparation of the columns of a table, one kind a file, as modules that become part of the graphs."""
