"""The image of the reconciler: what it is built from."""
