"""What A1111's clients send: its field names and defaults, as its `/docs` shows them.

Unknown keys are ignored, because clients put keys of their own into the body, and null means the default. Fields that
A1111 knows and this server cannot honour are here too, so that `unsupported.py` can refuse them by name.
"""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, Field, model_validator


class Body(BaseModel):
    """Base of all bodies: lenient about keys, strict about numbers."""

    model_config = ConfigDict(extra="ignore", allow_inf_nan=False, protected_namespaces=())

    @model_validator(mode="before")
    @classmethod
    def _null_is_default(cls, values: Any) -> Any:
        if isinstance(values, dict):
            return {name: value for name, value in values.items() if value is not None}
        return values


class Generate(Body):
    """The fields that txt2img and img2img share."""

    prompt: str = ""
    negative_prompt: str = ""
    styles: list[str] = Field(default_factory=list, description="none are kept here: leave it empty")
    seed: int = Field(-1, description="-1 draws one")
    subseed: int = Field(-1, description="-1 draws one")
    subseed_strength: float = 0
    seed_resize_from_h: int = -1
    seed_resize_from_w: int = -1
    sampler_name: str | None = None
    sampler_index: str = Field("Euler", description="old name of sampler_name, which wins")
    scheduler: str | None = None
    batch_size: int = Field(1, ge=1)
    n_iter: int = Field(1, ge=1)
    steps: int = 50
    cfg_scale: float = 7.0
    width: int = 512
    height: int = 512
    restore_faces: bool = Field(default=False, description="not supported")
    tiling: bool = Field(default=False, description="not supported")
    do_not_save_samples: bool = Field(default=False, description="nothing is saved on the server in any case")
    do_not_save_grid: bool = Field(default=False, description="grids are not made")
    eta: float | None = None
    denoising_strength: float | None = None
    s_min_uncond: float = Field(0, description="not supported")
    s_churn: float = Field(0, description="not supported")
    s_tmax: float | None = Field(None, description="has a meaning only with s_churn")
    s_tmin: float = Field(0, description="has a meaning only with s_churn")
    s_noise: float = Field(1, description="not supported but for 1")
    override_settings: dict[str, Any] = Field(default_factory=dict)
    override_settings_restore_afterwards: bool = Field(
        default=True, description="settings of one request never outlive it"
    )
    refiner_checkpoint: str | None = Field(None, description="not supported")
    refiner_switch_at: float | None = Field(None, description="has a meaning only with refiner_checkpoint")
    disable_extra_networks: bool = Field(default=False, description="not supported")
    script_name: str | None = Field(None, description="not supported")
    script_args: list[Any] = Field(default_factory=list, description="has a meaning only with script_name")
    alwayson_scripts: dict[str, Any] = Field(default_factory=dict, description="not supported")
    send_images: bool = True
    save_images: bool = Field(default=False, description="nothing is saved on the server in any case")
    force_task_id: str | None = Field(None, max_length=200)
    infotext: str | None = Field(None, description="fills in what the body leaves out")


class TextToImage(Generate):
    """Body of txt2img."""

    enable_hr: bool = False
    firstphase_width: int = 0
    firstphase_height: int = 0
    hr_scale: float = 2.0
    hr_upscaler: str | None = None
    hr_second_pass_steps: int = 0
    hr_resize_x: int = 0
    hr_resize_y: int = 0
    hr_checkpoint_name: str | None = Field(None, description="not supported")
    hr_sampler_name: str | None = None
    hr_scheduler: str | None = None
    hr_prompt: str = ""
    hr_negative_prompt: str = ""


class ImageToImage(Generate):
    """Body of img2img."""

    init_images: list[str] = Field(default_factory=list, description="one picture, base64 or data URI")
    resize_mode: int = Field(0, ge=0, le=3)
    denoising_strength: float | None = 0.75
    image_cfg_scale: float | None = Field(None, description="has a meaning only for models that edit by instruction")
    mask: str | None = Field(None, description="white is painted anew")
    mask_blur_x: int = 4
    mask_blur_y: int = 4
    mask_blur: int | None = None
    mask_round: bool = Field(default=True, description="false is not supported")
    inpainting_fill: int = Field(0, ge=0, le=3)
    inpaint_full_res: bool = True
    inpaint_full_res_padding: int = 0
    inpainting_mask_invert: int = Field(0, ge=0, le=1)
    initial_noise_multiplier: float | None = Field(None, description="not supported but for 1")
    latent_mask: str | None = Field(None, description="not supported")
    include_init_images: bool = False


class Extras(Body):
    """The fields that both extras share."""

    resize_mode: int = Field(0, ge=0, le=1)
    show_extras_results: bool = True
    gfpgan_visibility: float = Field(0, description="not supported")
    codeformer_visibility: float = Field(0, description="not supported")
    codeformer_weight: float = Field(0, description="has a meaning only with codeformer_visibility")
    upscaling_resize: float = Field(2, gt=0, le=8)
    upscaling_resize_w: int = Field(512, ge=1)
    upscaling_resize_h: int = Field(512, ge=1)
    upscaling_crop: bool = True
    upscaler_1: str = "None"
    upscaler_2: str = "None"
    extras_upscaler_2_visibility: float = Field(0, ge=0, le=1)
    upscale_first: bool = Field(default=False, description="has a meaning only with face restoration")


class SingleImage(Extras):
    """Body of extra-single-image."""

    image: str = ""


class NamedPicture(Body):
    """A picture of a batch."""

    data: str
    name: str = ""


class BatchImages(Extras):
    """Body of extra-batch-images."""

    model_config = ConfigDict(populate_by_name=True)

    image_list: list[NamedPicture] = Field(alias="imageList")


class PngInfo(Body):
    """Body of png-info."""

    image: str


class Pictures(BaseModel):
    """Answer of txt2img and img2img."""

    images: list[str] | None
    parameters: dict[str, Any]
    info: str


class ExtraImage(BaseModel):
    """Answer of extra-single-image."""

    html_info: str
    image: str


class ExtraImages(BaseModel):
    """Answer of extra-batch-images."""

    html_info: str
    images: list[str]


class PngInfoAnswer(BaseModel):
    """Answer of png-info."""

    info: str
    items: dict[str, Any]
    parameters: dict[str, Any]


class State(BaseModel):
    """Where the caller's running request stands."""

    skipped: bool = False
    interrupted: bool = False
    stopping_generation: bool = False
    job: str = ""
    job_count: int = 0
    job_timestamp: str = "0"
    job_no: int = 0
    sampling_step: int = 0
    sampling_steps: int = 0


class Progress(BaseModel):
    """Answer of progress."""

    progress: float
    eta_relative: float
    state: State
    current_image: str | None = None
    textinfo: str | None = None
    current_task: str | None = None
