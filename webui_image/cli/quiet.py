"""Log lines where the result is what counts: warnings and errors alone, as text, on standard error."""


def quiet_logs() -> None:
    """Set up logging for a command that is not a server; without it, log lines would stand among the results."""
    from webui_image.server import logs
    from webui_image.server.settings import Settings

    logs.configure(Settings(log_json=False, log_level="warning"))
