"""The HTTP side of the web UI: A1111's API, the streaming API and the page, health, metrics and the way down.

Nothing here imports torch: the port is open while the engine still loads in threads of its own.
"""
