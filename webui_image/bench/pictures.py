"""Whether the small model draws what the prompt says, read from the pixels of pictures that the engine drew."""

from __future__ import annotations

from webui_image.bench.engines import StepBatching, running
from webui_image.bench.figures import Bench, Figure
from webui_image.values.generation import Generation

__all__ = ["adherence"]

_PROMPTS = 200
_AT_ONCE = 40


def adherence(bench: Bench) -> list[Figure]:
    """Draw prompts never trained on, with the recommended settings and with CFG 7, and read each picture."""
    if not bench.trained:
        return []
    with running(bench) as engine:
        recommended = engine.models()[0].recommended
        plain = Generation(
            "",
            width=recommended.width,
            height=recommended.height,
            steps=recommended.steps,
            sampler=recommended.sampler,
            scheduler=recommended.scheduler,
            negative_prompt=recommended.negative_prompt,
        )
        serving = StepBatching(engine, bench.clock)
        found = {scale: _share(serving, plain, scale) for scale in (recommended.cfg_scale, 7.0)}
    about = f"{recommended.sampler}, {recommended.steps} steps"
    return [
        Figure(
            f"{_PROMPTS} prompts never trained on, background, colour and shape right: recommended settings",
            found[recommended.cfg_scale] * 100,
            95.0,
            "%",
            at_least=True,
            detail=f"{about}, CFG {recommended.cfg_scale:g}",
            key=("adherence", "recommended"),
        ),
        Figure("the same with CFG 7", found[7.0] * 100, 85.0, "%", at_least=True, key=("adherence", "cfg_7")),
    ]


def _share(serving: StepBatching, plain: Generation, scale: float) -> float:
    from dataclasses import replace

    from webui_image.demo_model.train.captions import held_out_prompts
    from webui_image.demo_model.train.reader import read

    asked = held_out_prompts(_PROMPTS, 2024)
    requests = [replace(plain, prompt=text, cfg_scale=scale, seed=seed) for seed, (text, _) in enumerate(asked)]
    right = 0
    for start in range(0, len(requests), _AT_ONCE):
        part = requests[start : start + _AT_ONCE]
        images = serving.serve(part, [0.0] * len(part)).images
        for image, (_, (background, colour, shape)) in zip(images, asked[start : start + _AT_ONCE], strict=True):
            seen = read(image)
            right += seen.background == background and seen.colour == colour and seen.shape == shape
    return right / len(requests)
