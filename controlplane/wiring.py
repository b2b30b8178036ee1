"""The one place that builds concrete classes."""
