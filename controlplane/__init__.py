"""GPU Hunter: finds GPUs where they are, serves from there behind one address, moves on when they go."""
