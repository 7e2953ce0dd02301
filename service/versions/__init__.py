"""What is served: versions of models, and how it follows the store."""
