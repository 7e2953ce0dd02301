"""What a model is, wherever it runs: the bundle on disk, its predictor, its uncertainty."""
