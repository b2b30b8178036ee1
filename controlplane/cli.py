"""What the user types."""


def main() -> None:
    """Run the command line."""
