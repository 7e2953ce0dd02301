"""What requests and answers hold: from bytes to arrays, and back."""
