"""What the columns of a table mean: numbers, categories or dates, or doubt that an option settles."""
