"""Values only: what is known, wanted, remembered and decided, as frozen dataclasses.

Nothing here does I/O, reads a clock or imports an SDK, so that a decision can be replayed from its inputs alone.
"""
