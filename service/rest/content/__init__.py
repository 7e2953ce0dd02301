"""The contents of requests and answers: from bytes to arrays, and back."""
