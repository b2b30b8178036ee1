"""Bootstrap over a project of the local cloud, through the same clients that reach Google Cloud."""

import pytest

from controlplane.bootstrap.remedies import Halted


def test_an_empty_project_is_made_ready_and_empty_again(project):
    """Plan, apply, apply again, destroy: everything is there, the second time nothing is done, then nothing is left."""
    first = project.bootstrap()
    survey = first.survey()
    assert {step.verb.value for step in survey.steps} <= {"create", "update", "look later"}
    done = first.apply()
    assert len(done.done) == len(first.parts())
