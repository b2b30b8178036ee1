"""The small model's trainer: drawings and captions made by code, an autoencoder, then the denoiser with its texts.

`train` needs no data and no network, and under an hour on two cores. Each phase leaves a checkpoint in the working
directory, and a later call with the same directory goes on after the last finished phase.
"""

import logging
from pathlib import Path

__all__ = ["train"]

log = logging.getLogger(__name__)


def train(out: Path, *, seed: int = 0, work: Path | None = None, steps_share: float = 1.0, threads: int = 2) -> None:
    """Train the small model and write it to `out` as a pipeline directory in fp16 safetensors.

    `work` keeps the checkpoints (default: `out`/.training); `steps_share` scales every phase, for a quick look.
    Fails with ValueError when `steps_share` is not positive.
    """
    if steps_share <= 0:
        raise ValueError(f"steps_share is {steps_share}: it must be above 0; 1 is the full training")
    import torch

    from webui_image.demo_model.train import phases

    threads_before = torch.get_num_threads()
    torch.set_num_threads(threads)
    torch.set_flush_denormal(True)  # without it a fresh autoencoder's backward pass is twenty times slower
    try:
        phases.run(out, seed=seed, work=work or out / ".training", share=steps_share)
    finally:  # both hold for the whole thread: who calls this goes on with floats as they were
        torch.set_flush_denormal(False)
        torch.set_num_threads(threads_before)
    log.info("the model is in %s", out)
