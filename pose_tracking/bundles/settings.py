"""Options of a bundle changed by texts, as `--set GROUP.NAME=VALUE` gives them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, TypeVar

from pose_tracking.core.errors import ConfigError
from pose_tracking.core.settings import with_settings

if TYPE_CHECKING:
    from .bundle import ModelBundle

T = TypeVar("T")
GROUPS = ("objects", "pose", "tracking", "pipeline", "inference")


def with_bundle_settings(bundle: ModelBundle, settings: Sequence[str]) -> ModelBundle:
    """The bundle with some options changed.

    Raises:
        ConfigError: a text is of no group, or cannot be used; see `with_settings`.
    """
    for text in settings:
        if text.partition(".")[0] not in GROUPS:
            raise ConfigError(f"--set {text!r}: expected GROUP.NAME=VALUE with one of the groups {', '.join(GROUPS)}")
    changed = {group: with_group(getattr(bundle.config, group), settings, group) for group in GROUPS}
    return bundle.with_config(replace(bundle.config, **changed))


def with_group(config: T, settings: Sequence[str], group: str) -> T:
    """`config` with those of the settings that are of its group."""
    own = [text.partition(".")[2] for text in settings if text.startswith(f"{group}.")]
    return with_settings(config, own, f"--set {group}")
