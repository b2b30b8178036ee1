"""Examines what a hunt needs and says what is amiss, what breaks because of it, and the command that mends it."""
