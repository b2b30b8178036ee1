"""`serve`: the page and the APIs over one engine."""

from typing import Annotated

import typer

from webui_image.cli.failures import CommandError


def register(app: typer.Typer) -> None:
    """Add the command to the root."""
    app.command(epilog="Every other setting is an environment variable; webui_image/README.md lists them all.")(serve)


def serve(
    *,
    host: Annotated[
        str | None, typer.Option(help="Address to listen on; beyond this machine only with a sign-in. [HOST]")
    ] = None,
    port: Annotated[
        int | None, typer.Option(min=0, max=65535, help="Port to listen on; 0 takes a free one. [PORT, 7860]")
    ] = None,
    path_prefix: Annotated[
        str | None, typer.Option(help="Serve below this path as well, such as /sd. [PATH_PREFIX]")
    ] = None,
    model: Annotated[
        str | None,
        typer.Option(help="Model directory, .safetensors file, address or listed name. [MODEL_URI, DEFAULT_MODEL]"),
    ] = None,
    model_dir: Annotated[str | None, typer.Option(help="Folder of models to choose from. [MODEL_DIR]")] = None,
    lora_dir: Annotated[str | None, typer.Option(help="Folder of LoRAs. [LORA_DIR]")] = None,
    embeddings_dir: Annotated[str | None, typer.Option(help="Folder of embeddings. [EMBEDDINGS_DIR]")] = None,
    device: Annotated[str | None, typer.Option(help="auto, cpu, cuda, cuda:1 or mps. [DEVICE]")] = None,
    precision: Annotated[str | None, typer.Option(help="auto, fp32, fp16 or bf16. [PRECISION]")] = None,
    max_batch: Annotated[int | None, typer.Option(help="Pictures that share a step at most. [MAX_BATCH]")] = None,
    allow_anonymous: Annotated[
        bool, typer.Option("--allow-anonymous", help="Whoever reaches the port may use it. [ALLOW_ANONYMOUS]")
    ] = False,
    json_logs: Annotated[
        bool | None, typer.Option("--json-logs/--text-logs", help="Log lines for programs or people. [LOG_JSON]")
    ] = None,
    log_level: Annotated[str | None, typer.Option(help="debug, info, warning or error. [LOG_LEVEL]")] = None,
) -> None:
    """Serve the page, AUTOMATIC1111's API and the streaming API until SIGTERM or Ctrl-C.

    Options win over the environment variables named in brackets.
    """
    from webui_image.cli.environment import engine_settings, model_options
    from webui_image.clock import SystemClock
    from webui_image.engine import build
    from webui_image.metrics import Metrics
    from webui_image.server import environment, parsing
    from webui_image.server.environment import SettingsError
    from webui_image.server.security import UnsafeError
    from webui_image.server.serving import leave
    from webui_image.server.serving import serve as run

    given = model_options(model)
    places = {"model_dir": model_dir, "lora_dir": lora_dir, "embeddings_dir": embeddings_dir}
    engine = engine_settings(device=device, precision=precision, pictures=max_batch, **places, **given)
    try:
        settings = environment.read(
            host=host,
            port=port,
            path_prefix=parsing.prefix(path_prefix) if path_prefix is not None else None,
            anonymous=allow_anonymous or None,
            log_json=json_logs,
            log_level=parsing.level(log_level) if log_level is not None else None,
        )
    except SettingsError as error:
        raise CommandError(str(error)) from None
    except ValueError as error:
        raise CommandError(f"--path-prefix or --log-level: {error}") from None
    metrics = Metrics()
    try:
        run(settings, build(engine, metrics=metrics, clock=SystemClock()), metrics, SystemClock())
    except UnsafeError as error:
        raise CommandError(str(error)) from None
    leave()
