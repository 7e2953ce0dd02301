"""Makes mutants of bundles: what changes them, and what is grafted into their graphs."""
