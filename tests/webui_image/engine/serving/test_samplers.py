"""Samplers under A1111's names: found by every spelling, refused with what could be meant, never replaced."""

import pytest

from webui_image.engine.samplers import SAMPLERS, SCHEDULERS, resolve
from webui_image.values.errors import Invalid, Unsupported


@pytest.mark.parametrize("sampler", SAMPLERS, ids=lambda sampler: sampler.name)
def test_every_name_and_alias_finds_its_sampler(sampler):
    """Names and aliases are understood in any case."""
    for name in (sampler.name, sampler.name.upper(), *sampler.aliases):
        assert resolve(name).sampler == sampler.name


@pytest.mark.parametrize(
    ("name", "sampler", "schedule"),
    [
        ("DPM++ 2M Karras", "DPM++ 2M", "Karras"),
        ("dpm++ 2m karras", "DPM++ 2M", "Karras"),
        ("k_dpmpp_2m_ka", "DPM++ 2M", "Karras"),
        ("DPM++ 2M SDE Exponential", "DPM++ 2M SDE", "Exponential"),
        ("DPM++ 2M SDE Heun Karras", "DPM++ 2M SDE Heun", "Karras"),
        ("Euler SGM Uniform", "Euler", "SGM Uniform"),
        ("DPM2 a Karras", "DPM2 a", "Karras"),
    ],
    ids=str,
)
def test_old_combined_names_are_a_sampler_and_a_schedule(name, sampler, schedule):
    """Names from before A1111 1.9 carry their schedule type."""
    choice = resolve(name)
    assert (choice.sampler, choice.schedule) == (sampler, schedule)
    assert choice == resolve(sampler, schedule)


@pytest.mark.parametrize("kind", SCHEDULERS, ids=lambda kind: kind.label)
def test_schedule_types_are_found_by_identifier_and_label(kind):
    """Clients send the identifier, people read the label."""
    able = next(sampler for sampler in SAMPLERS if kind.label in sampler.schedules)
    assert resolve(able.name, kind.name) == resolve(able.name, kind.label)


def test_automatic_is_what_a1111_means_by_it():
    """Samplers with a schedule of their own use it, and the name that was asked for stays."""
    choice = resolve("DPM++ 2M", "Automatic")
    assert choice.schedule == "Automatic"
    assert choice.options == resolve("DPM++ 2M", "Karras").options


@pytest.mark.parametrize(
    ("name", "scheduler", "field", "message"),
    [
        ("Eulr", "", "sampler_name", "did you mean Euler"),
        ("x" * 500, "", "sampler_name", "there are DPM"),
        ("", "", "sampler_name", "unknown"),
        ("Euler", "karass", "scheduler", "did you mean Karras"),
        ("Euler a", "Karras", "scheduler", "cannot be combined with Karras; it can with Automatic"),
        ("DPM++ 2M Karras", "Exponential", "scheduler", "contradicts"),
    ],
    ids=["near", "long", "empty", "schedule", "combination", "contradiction"],
)
def test_what_is_not_offered_is_refused_by_name(name, scheduler, field, message):
    """A refusal names the field and what could be meant instead."""
    with pytest.raises(Invalid, match=message) as refused:
        resolve(name, scheduler)
    assert refused.value.field == field
    assert len(str(refused.value)) < 400


def test_ancestral_samplers_without_their_noise_are_their_deterministic_kin():
    """At eta 0, Euler a is Euler and DPM2 a is DPM2; other values are refused, not ignored."""
    assert resolve("Euler a", eta=0.0) == resolve("Euler")
    assert resolve("DPM2 a", eta=0.0) == resolve("DPM2")
    assert resolve("Euler a", eta=1.0) == resolve("Euler a")
    with pytest.raises(Unsupported, match="eta"):
        resolve("Euler a", eta=0.5)


def test_eta_reaches_those_who_take_it_and_nobody_else():
    """DDIM takes eta; where there is none to scale, it is ignored, as in A1111."""
    assert resolve("DDIM", eta=0.7).eta == 0.7
    assert resolve("Euler", eta=0.7).eta is None


def test_names_are_unique():
    """No spelling means two samplers or two schedule types."""
    spellings = [name.lower() for sampler in SAMPLERS for name in {sampler.name.lower(), *sampler.aliases}]
    assert len(spellings) == len(set(spellings))
    labels = [label for kind in SCHEDULERS for label in {kind.label.lower(), kind.name.lower()}]
    assert len(labels) == len(set(labels))
