"""Which samplers and schedule types can be asked for, under A1111's names, and what each is in diffusers.

A table without torch, so that a server lists it at once. A sampler is a scheduler class with options; a schedule type
is one more option that only some classes have. What a class does not have is refused with what could be meant
instead: a picture drawn with another schedule than the one in its parameters could not be drawn again elsewhere.
"""

from __future__ import annotations

from dataclasses import dataclass
from difflib import get_close_matches

from webui_image.values.errors import Invalid, Unsupported

__all__ = ["AUTOMATIC", "SAMPLERS", "SCHEDULERS", "Choice", "Sampler", "ScheduleType", "resolve"]

AUTOMATIC = "Automatic"
Options = tuple[tuple[str, object], ...]


@dataclass(frozen=True, slots=True)
class ScheduleType:
    """How the noise levels are spread over the steps: A1111's identifier and label, and the scheduler option for it."""

    name: str
    label: str
    options: Options = ()
    aliases: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Sampler:
    """A sampler by A1111's name. `schedules` are the labels it can be combined with."""

    name: str
    aliases: tuple[str, ...]
    scheduler_class: str
    options: Options = ()
    default_schedule: str = AUTOMATIC  # what A1111 means by Automatic for this sampler
    schedules: frozenset[str] = frozenset()
    deterministic: str = ""  # the sampler that this one is at eta 0
    takes_eta: bool = False
    two_calls: bool = False  # of the model a step
    most_steps: int = 0

    @property
    def label(self) -> str:
        """The name that people read; A1111 has one name for both."""
        return self.name


@dataclass(frozen=True, slots=True)
class Choice:
    """A sampler with its schedule type, as the class and options that build it. Equal choices draw equal pictures."""

    sampler: str
    schedule: str
    scheduler_class: str
    options: Options
    eta: float | None = None  # handed to the scheduler's step where it takes one
    two_calls: bool = False  # of the model a step
    most_steps: int = 0  # 0: any number


_KARRAS: Options = (("use_karras_sigmas", True),)
_EXPONENTIAL: Options = (("use_exponential_sigmas", True),)
_LINSPACE: Options = (("timestep_spacing", "linspace"),)
_TRAILING: Options = (("timestep_spacing", "trailing"),)
_LEADING: Options = (("timestep_spacing", "leading"),)

SCHEDULERS: tuple[ScheduleType, ...] = (
    ScheduleType("automatic", AUTOMATIC),
    ScheduleType("uniform", "Uniform", _LINSPACE),
    ScheduleType("karras", "Karras", _KARRAS, ("ka",)),
    ScheduleType("exponential", "Exponential", _EXPONENTIAL),
    # A1111 draws it with rho 1, which is the exponential schedule.
    ScheduleType("polyexponential", "Polyexponential", _EXPONENTIAL),
    ScheduleType("sgm_uniform", "SGM Uniform", _TRAILING, ("SGMUniform",)),
    ScheduleType("simple", "Simple", _TRAILING),
    ScheduleType("normal", "Normal", _LINSPACE),
    ScheduleType("ddim", "DDIM", _LEADING, ("ddim_uniform",)),
)

_SPACED = frozenset({AUTOMATIC, "Uniform", "SGM Uniform", "Simple", "Normal", "DDIM"})
_SIGMAS = frozenset({AUTOMATIC, "Karras", "Exponential", "Polyexponential"})
_ALL = _SPACED | _SIGMAS
_NO_CLIP: Options = (("clip_sample", False),)
_SDE: Options = (("algorithm_type", "sde-dpmsolver++"),)
_MULTI, _SINGLE = "DPMSolverMultistepScheduler", "DPMSolverSinglestepScheduler"

SAMPLERS: tuple[Sampler, ...] = (
    Sampler("DPM++ 2M", ("k_dpmpp_2m",), _MULTI, (), "Karras", _ALL),
    Sampler("DPM++ SDE", ("k_dpmpp_sde",), _SINGLE, (*_SDE, ("lower_order_final", True)), "Karras", _SIGMAS),
    Sampler("DPM++ 2M SDE", ("k_dpmpp_2m_sde",), _MULTI, _SDE, "Exponential", _ALL),
    Sampler(
        "DPM++ 2M SDE Heun", ("k_dpmpp_2m_sde_heun",), _MULTI, (*_SDE, ("solver_type", "heun")), "Exponential", _ALL
    ),
    Sampler("DPM++ 3M SDE", ("k_dpmpp_3m_sde",), _MULTI, (*_SDE, ("solver_order", 3)), "Exponential", _ALL),
    Sampler("DPM++ 2S", ("k_dpmpp_2s",), _SINGLE, (("lower_order_final", True),), "Karras", _SIGMAS),
    Sampler(
        "Euler a",
        ("k_euler_a", "k_euler_ancestral"),
        "EulerAncestralDiscreteScheduler",
        (),
        AUTOMATIC,
        _SPACED,
        "Euler",
    ),
    Sampler("Euler", ("k_euler",), "EulerDiscreteScheduler", (), AUTOMATIC, _ALL),
    Sampler("Heun", ("k_heun",), "HeunDiscreteScheduler", _NO_CLIP, AUTOMATIC, _ALL, two_calls=True),
    Sampler("DPM2", ("k_dpm_2",), "KDPM2DiscreteScheduler", (), "Karras", _ALL, two_calls=True),
    Sampler(
        "DPM2 a",
        ("k_dpm_2_a", "k_dpm_2_ancestral"),
        "KDPM2AncestralDiscreteScheduler",
        (),
        "Karras",
        _ALL,
        "DPM2",
        two_calls=True,
    ),
    Sampler("DDIM", ("ddim",), "DDIMScheduler", _NO_CLIP, AUTOMATIC, _SPACED, takes_eta=True),
    Sampler("PLMS", ("plms", "PNDM"), "PNDMScheduler", (("skip_prk_steps", True),), AUTOMATIC, _SPACED),
    Sampler("UniPC", ("unipc", "uni_pc"), "UniPCMultistepScheduler", (), AUTOMATIC, _ALL),
    Sampler("DEIS", ("deis",), "DEISMultistepScheduler", (), AUTOMATIC, _ALL),
    Sampler("LCM", ("k_lcm",), "LCMScheduler", _NO_CLIP, AUTOMATIC, _SPACED, most_steps=50),
)


def _by_key() -> dict[str, Sampler]:
    return {key.lower(): sampler for sampler in SAMPLERS for key in (sampler.name, *sampler.aliases)}


def _schedule_by_key() -> dict[str, ScheduleType]:
    return {key.lower(): kind for kind in SCHEDULERS for key in (kind.label, kind.name, *kind.aliases)}


_SAMPLER = _by_key()
_SCHEDULE = _schedule_by_key()


def resolve(name: str, scheduler: str = AUTOMATIC, eta: float | None = None) -> Choice:
    """Find what a sampler's name and a schedule type's name (or label, or alias; any case) stand for.

    "DPM++ 2M Karras" and the like, the names before A1111 1.9, are a sampler and its schedule type. `eta` scales the
    noise of DDIM; of the ancestral samplers, 1 is what they are and 0 their deterministic kin; others have none, and
    it is ignored as A1111 does. Raises Invalid naming sampler_name, scheduler or eta.
    """
    kind = _schedule_type(scheduler)
    sampler, found = _sampler(name)
    if found is not None:
        if kind.label not in {AUTOMATIC, found.label}:
            raise Invalid("scheduler", f"{kind.label} contradicts {name!r}; give one of the two")
        kind = found
    if sampler.deterministic and eta is not None and eta not in {0.0, 1.0}:
        raise Unsupported("eta", f"{eta:g} is not supported by {sampler.name}; give 0, 1 or nothing")
    if sampler.deterministic and eta == 0.0:
        sampler = _SAMPLER[sampler.deterministic.lower()]
    if kind.label not in sampler.schedules:
        able = ", ".join(each.label for each in SCHEDULERS if each.label in sampler.schedules)
        raise Invalid("scheduler", f"{sampler.name} cannot be combined with {kind.label}; it can with {able}")
    effective = _schedule_type(sampler.default_schedule) if kind.label == AUTOMATIC else kind
    return Choice(
        sampler.name,
        kind.label,
        sampler.scheduler_class,
        (*sampler.options, *effective.options),
        eta if sampler.takes_eta else None,
        sampler.two_calls,
        sampler.most_steps,
    )


def _schedule_type(name: str) -> ScheduleType:
    kind = _SCHEDULE.get(name.strip().lower() or "automatic")
    if kind is None:
        raise Invalid("scheduler", f"{_shown(name)} is unknown{_near(name, [each.label for each in SCHEDULERS])}")
    return kind


def _sampler(name: str) -> tuple[Sampler, ScheduleType | None]:
    key = " ".join(name.lower().split())
    if key in _SAMPLER:
        return _SAMPLER[key], None
    for suffix, kind in _SCHEDULE.items():
        for ending in (f" {suffix}", f"_{suffix}"):
            head = key.removesuffix(ending)
            if head != key and head in _SAMPLER:
                return _SAMPLER[head], kind
    raise Invalid("sampler_name", f"{_shown(name)} is unknown{_near(name, [each.name for each in SAMPLERS])}")


def _shown(name: str) -> str:
    return repr(name if len(name) <= 60 else f"{name[:60]}...")


def _near(name: str, names: list[str]) -> str:
    lowered = {each.lower(): each for each in names}
    near = [lowered[each] for each in get_close_matches(name[:60].lower(), list(lowered), n=3, cutoff=0.5)]
    return f"; did you mean {' or '.join(near)}?" if near else f"; there are {', '.join(names)}"
