"""The demonstration: five acts on a local cloud of its own, with a client that never stops asking."""
