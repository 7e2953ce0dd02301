"""Files of tables, read as they stand: what a column means is decided elsewhere."""
