"""The Stable Diffusion Web UI: serves many people from one GPU, and renders parameter files in batches."""
