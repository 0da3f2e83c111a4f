from __future__ import annotations

import pytest

from pose_tracking.bundles.bundle_config import BundleConfig
from pose_tracking.core.errors import ConfigError
from pose_tracking.core.settings import with_settings
from pose_tracking.simulation.frames.random_scenes import RandomSceneConfig


def test_options_of_a_config_and_of_the_configs_in_it_are_set():
    config = with_settings(
        RandomSceneConfig(), ["tables=0", "clutter=0,2", "sensor.blur=0.25", "sensor.quantisation=none", "jitter = 0.5"]
    )
    assert config.tables == 0.0
    assert config.clutter == (0, 2)
    assert config.sensor.blur == 0.25
    assert config.sensor.quantisation == "none"
    assert config.jitter == 0.5
    assert config.crowding == RandomSceneConfig().crowding
    assert with_settings(config, []) == config


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("tables", "is not NAME=VALUE"),
        ("=1", "is not NAME=VALUE"),
        ("tabels=1", "unknown option 'tabels'"),
        ("tables=2", "tables = 2.0 is outside 0 to 1"),
        ("tables=many", "'many' is not of type float"),
        ("clutter=1,2,3", "does not have 2 entries"),
        ("tables.x=1", "'tables' is not a group of options"),
        ("sensor.blur=[", "cannot be read as a value"),
    ],
)
def test_what_cannot_be_set_is_named(text, message):
    with pytest.raises(ConfigError, match=message):
        with_settings(RandomSceneConfig(), [text])


@pytest.mark.parametrize(
    ("text", "option", "value"),
    [
        ("pipeline.carry_missed=false", "recover_missed", False),
        ("pipeline.carry_confidence=0.5", "recovery_confidence", 0.5),
        ("pipeline.recover_missed=false", "recover_missed", False),
    ],
)
def test_former_names_of_options_are_set(text, option, value, caplog):
    config = with_settings(BundleConfig(), [text], f"test {text}")
    assert getattr(config.pipeline, option) == value
    warned = [r.getMessage() for r in caplog.records]
    assert len(warned) == (option not in text)
    assert all(option in message for message in warned)


def test_former_names_of_groups_are_set(caplog):
    name = next(iter(vars(BundleConfig().pipeline.depth_tracking)))
    value = getattr(BundleConfig().pipeline.depth_tracking, name)
    config = with_settings(BundleConfig(), [f"pipeline.carrying.{name}={value}"], "test of groups")
    assert config == BundleConfig()
    assert [r.getMessage() for r in caplog.records] == [
        "test of groups: option 'carrying' is now called 'depth_tracking'; the old name goes with the next version"
    ]
    with pytest.raises(ConfigError, match="unknown option 'carry'"):
        with_settings(BundleConfig(), ["pipeline.carry=1"])
    with pytest.raises(ConfigError, match="'carried' is not a group of options"):
        with_settings(BundleConfig(), ["pipeline.carried.x=1"])
