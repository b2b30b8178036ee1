"""What the user types. Every heavy import is inside a command, so that `--help` answers at once."""

import sys

from webui_image.cli.app import run


def main() -> None:
    """Run the command line and leave with its exit code."""
    sys.exit(run(sys.argv[1:]))
