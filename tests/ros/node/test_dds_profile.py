"""The Fast DDS profile that images need."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from pose_tracking.ros.node.dds_profile import PROFILE_VARIABLES, image_profile, use_image_profile


@pytest.fixture(autouse=True)
def plain(monkeypatch):
    for variable in (*PROFILE_VARIABLES, "ROS_DISTRO"):
        monkeypatch.delenv(variable, raising=False)


@pytest.mark.parametrize(
    ("distribution", "variable"), [("kilted", PROFILE_VARIABLES[0]), ("humble", PROFILE_VARIABLES[1])]
)
def test_the_variable_is_that_of_the_distribution(monkeypatch, distribution, variable):
    monkeypatch.setenv("ROS_DISTRO", distribution)
    ((name, value),) = image_profile().items()
    assert name == variable
    assert Path(value).name == "fastdds_images.xml"
    assert Path(value).is_file()


@pytest.mark.parametrize("variable", PROFILE_VARIABLES)
def test_a_profile_the_user_has_set_stays(monkeypatch, variable):
    monkeypatch.setenv(variable, "mine.xml")
    assert image_profile() == {}
    use_image_profile()
    assert [os.environ.get(name) for name in PROFILE_VARIABLES if name != variable] == [None]
    assert os.environ[variable] == "mine.xml"
