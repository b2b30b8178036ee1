"""`bootstrap` on the command line: nobody is asked where nobody can answer."""

import pytest

from controlplane.api import SpecError
from controlplane.cli.bootstrap import _agreed


def test_without_a_terminal_it_says_which_option_goes_on() -> None:
    """A pipeline hears what to write, and is not told that it interrupted something."""
    with pytest.raises(SpecError, match="--yes: is missing, and nobody is there to be asked; give it to go on unasked"):
        _agreed("Make these?")
