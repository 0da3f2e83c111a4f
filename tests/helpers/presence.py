"""Values that a type allows to be missing and a test expects to be there."""

from __future__ import annotations

from typing import TypeVar

from pose_tracking.datasets.sample import GroundTruthObject, Sample

T = TypeVar("T")


def present(value: T | None) -> T:
    """`value`; fails the test where it is None."""
    assert value is not None, "None where the test expects a value"
    return value


def objects_of(sample: Sample) -> list[GroundTruthObject]:
    """The annotated instances of `sample`; fails the test where the frame is not annotated."""
    return present(sample.objects)
