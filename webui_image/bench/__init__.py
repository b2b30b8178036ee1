"""Measures what the web UI promises, with anyone's machine and the small model."""
