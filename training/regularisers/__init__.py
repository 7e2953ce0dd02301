"""What keeps weights small, beside dropout."""
