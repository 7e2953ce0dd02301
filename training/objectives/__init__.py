"""What networks are trained towards, for classes and for values."""
