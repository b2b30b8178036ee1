"""A picture's way through the model: prepared, taken step by step, decoded.

Whatever differs between kinds of requests (from text, from a picture, with a mask, with a second pass) is in what a
picture starts from; the steps are the same for all, which is why they can share calls.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Protocol
from weakref import WeakKeyDictionary, WeakSet

import torch

from webui_image.engine import stepping
from webui_image.engine.conditioning import Conditioner
from webui_image.engine.job import Picture, Stage
from webui_image.engine.planning import Group
from webui_image.engine.previews import Previewer, estimate
from webui_image.engine.starting import Beginning, second_pass, start_of
from webui_image.values.errors import Invalid, NotFinite

if TYPE_CHECKING:
    from PIL import Image

    from webui_image.engine.conditioning import Conditioning
    from webui_image.engine.model import LoadedModel

__all__ = ["Drawing", "Models"]


class Models(Protocol):
    """Gives models by their listed names."""

    def get(self, name: str = "") -> LoadedModel:
        """Give a model, loading it first if need be. Raises ModelError."""
        ...

    def is_loaded(self, name: str) -> bool:
        """Say whether `get` answers at once."""
        ...


class Drawing:
    """Does the work on pictures. For the engine's thread only."""

    def __init__(self, models: Models, show: Callable[[Image.Image], Image.Image] | None = None) -> None:
        """Take the models, and what decides which finished pictures may be shown."""
        self._models = models
        self._show = show or (lambda image: image)
        self._steppers: WeakKeyDictionary[Any, stepping.Stepper] = WeakKeyDictionary()
        self._conditioners: WeakKeyDictionary[Any, Conditioner] = WeakKeyDictionary()
        self._sparing: WeakSet[Any] = WeakSet()
        self._previewers: WeakKeyDictionary[Any, Previewer] = WeakKeyDictionary()

    def model(self, picture: Picture) -> LoadedModel:
        """Give the picture's model with its LoRAs in force."""
        model = self._models.get(picture.group.model)
        model.use_loras(picture.group.loras)
        return model

    def prepare(self, picture: Picture) -> None:
        """Take a picture from the start of a pass to its first step. Raises Invalid, ModelError, OutOfMemory."""
        model = self.model(picture)
        with torch.inference_mode():
            conditioning = self._conditioning(picture, model)
            picture.group = replace(picture.group, chunks=conditioning.chunks)
            beginning = self._beginning(picture, model)
            picture.latents = None
            picture.sampling = sampling = self._sampling(picture, conditioning, beginning)
        picture.rows = sampling.most_rows
        if sampling.times:
            picture.stage = Stage.DENOISING
        else:
            self._end_pass(picture)

    def step(self, pictures: Sequence[Picture]) -> list[BaseException | None]:
        """Take pictures of one group one call further; give what failed for each. Raises what failed for all."""
        model = self.model(pictures[0])
        stepper = self._steppers.get(model)
        if stepper is None:
            stepper = self._steppers[model] = stepping.Stepper(model)
        errors = stepper.call([_sampling(picture) for picture in pictures])
        if model.device.type == "cuda":
            torch.cuda.synchronize(model.device)
        for picture, error in zip(pictures, errors, strict=True):
            if error is None and _sampling(picture).done:
                self._end_pass(picture)
        return errors

    def ready(self, group: Group) -> bool:
        """Say whether the group's model is in memory with its LoRAs in force."""
        if not self._models.is_loaded(group.model):
            return False
        return self._models.get(group.model).loras == group.loras

    def spare_memory(self, picture: Picture) -> bool:
        """Trade time for memory from now on; False where that was done before."""
        model = self.model(picture)
        if model in self._sparing:
            return False
        self._sparing.add(model)
        model.save_memory()
        return True

    def memory(self, picture: Picture) -> tuple[int, int]:
        """Give the bytes used and there in all, of the picture's device; for a CPU, of this process and the machine."""
        from webui_image.engine import devices

        found = devices.memory(self._models.get(picture.group.model).device)
        return found.used, found.total

    def finish(self, pictures: Sequence[Picture]) -> list[Image.Image | NotFinite]:
        """Decode pictures of one group; a picture of numbers that are none gives NotFinite, the others are drawn."""
        from PIL import Image

        model = self.model(pictures[0])
        results: dict[int, Image.Image | NotFinite] = {}
        sound = []
        for at, picture in enumerate(pictures):
            if bool(torch.isfinite(picture.latents).all()):
                sound.append(at)
            else:
                results[at] = NotFinite(
                    "the model gave numbers that are none (NaN): lower the CFG scale, or take another sampler"
                )
        if sound:
            arrays = model.decode(torch.cat([pictures[at].latents for at in sound]))
            for at, array in zip(sound, arrays, strict=True):
                results[at] = self._show(_completed(Image.fromarray(array), pictures[at]))
        return [results[at] for at in range(len(pictures))]

    def preview(self, picture: Picture) -> Image.Image:
        """Draw a picture as it stands, small."""
        model = self.model(picture)
        previewer = self._previewers.get(model)
        if previewer is None:
            previewer = self._previewers[model] = Previewer(model)
        return previewer.preview(_sampling(picture))

    def give_up(self, picture: Picture) -> None:
        """Take the picture as it stands for its final one."""
        if picture.sampling is not None and picture.stage is Stage.DENOISING:
            with torch.inference_mode():
                picture.latents = estimate(picture.sampling)
        picture.sampling = None
        picture.stage = Stage.DRAWN

    def _conditioning(self, picture: Picture, model: LoadedModel) -> Conditioning:
        known = picture.job.conditionings
        if picture.at_pass not in known:
            conditioner = self._conditioners.get(model)
            if conditioner is None:
                conditioner = self._conditioners[model] = Conditioner(model)
            current = picture.current
            known[picture.at_pass] = conditioner.encode(
                current.prompt, current.negative, picture.job.generation.clip_skip
            )
        conditioning: Conditioning = known[picture.at_pass]
        return conditioning

    def _beginning(self, picture: Picture, model: LoadedModel) -> Beginning:
        if picture.at_pass > 0:
            return second_pass(picture, model)
        return start_of(picture, model)

    def _sampling(self, picture: Picture, conditioning: Conditioning, beginning: Beginning) -> stepping.Sampling:
        current, generation = picture.current, picture.job.generation
        model = self._models.get(picture.group.model)
        scheduler = _scheduler(picture, model)
        timesteps = scheduler.timesteps
        if beginning.original is None:
            latents = stepping.start(scheduler, beginning.noise)
        else:
            latents, timesteps = stepping.resume(
                scheduler, beginning.original, beginning.noise, current.steps, current.executed
            )
        return stepping.Sampling(
            latents=latents,
            scheduler=scheduler,
            generator=beginning.generator,
            conditioning=conditioning,
            cfg_scale=generation.cfg_scale,
            timesteps=timesteps,
            times=timesteps.tolist(),
            steps=current.executed,
            size=(current.width, current.height),
            guidance_rescale=picture.job.plan.guidance_rescale,
            eta=current.choice.eta,
            exact=generation.exact,
            inpainting=beginning.inpainting,
            extra_channels=beginning.extra_channels,
        )

    def _end_pass(self, picture: Picture) -> None:
        picture.latents = _sampling(picture).latents
        picture.sampling = None
        if picture.at_pass + 1 < len(picture.job.plan.passes):
            picture.at_pass += 1
            picture.group = picture.job.plan.group(picture.at_pass, picture.job.vae)
            picture.stage = Stage.START
        else:
            picture.stage = Stage.DRAWN


def _sampling(picture: Picture) -> stepping.Sampling:
    if picture.sampling is None:
        raise AssertionError("a picture that is not being denoised has no next step")
    return picture.sampling


def _scheduler(picture: Picture, model: LoadedModel) -> Any:
    current = picture.current
    try:
        return stepping.make_scheduler(current.choice, current.steps, model.scheduler_config)
    except (ValueError, IndexError) as error:
        raise Invalid("steps", f"{current.choice.sampler} cannot draw in {current.steps} steps: {error}") from error


def _completed(image: Image.Image, picture: Picture) -> Image.Image:
    """Bring a decoded picture to the size asked for, and lay it over the original where it was inpainted."""
    from PIL import Image as Images

    plan = picture.job.plan
    size = (plan.final_width, plan.final_height)
    if image.size != size:
        image = image.resize(size, Images.Resampling.LANCZOS)
    prepared = picture.job.shared.get("prepared")
    if prepared is None:
        return image
    from webui_image.pictures import inpaint

    return inpaint.finish(image, prepared)
