"""What answers requests, in no protocol's words: admission, batching, deadlines, versions and records."""
