"""The engine: one set of weights in memory, many requests that share each of its steps."""
