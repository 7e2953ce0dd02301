"""HTTP as bytes on connections, before and behind the application."""
