"""The Stable Diffusion Web UI image belongs here; there is nothing yet, and the demo app stands in for it."""
