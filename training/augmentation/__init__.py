"""Changes of training rows at random, which their labels survive."""
