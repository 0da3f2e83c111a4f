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
GROUPS = ("objects", "segmentation", "pose", "tracking", "pipeline", "inference")
# Options of the detector that its weights were trained with: with others it would find nothing, or what is not there.
_TRAINED = frozenset({
    "backend", "backbone", "depth", "strides", "fpn_channels", "anchor_sizes", "box_head_size", "mask_head_channels",
    "roi_size", "mask_roi_size", "focal_length",
})  # fmt: skip


def with_bundle_settings(bundle: ModelBundle, settings: Sequence[str]) -> ModelBundle:
    """The bundle with some options changed.

    Raises:
        ConfigError: a text is of no group, of an option that the detector's weights fix, or cannot be used; see
            `with_settings`.
    """
    for text in settings:
        group, _, rest = text.partition(".")
        if group == "segmentation" and rest.partition("=")[0].strip() in _TRAINED:
            raise ConfigError(f"--set {text!r}: fixed by the detector's training; change bundle.yaml and train again")
        if group not in GROUPS:
            raise ConfigError(f"--set {text!r}: expected GROUP.NAME=VALUE with one of the groups {', '.join(GROUPS)}")
    changed = {group: with_group(getattr(bundle.config, group), settings, group) for group in GROUPS}
    return bundle.with_config(replace(bundle.config, **changed))


def with_group(config: T, settings: Sequence[str], group: str) -> T:
    """`config` with those of the settings that are of its group."""
    own = [text.partition(".")[2] for text in settings if text.startswith(f"{group}.")]
    return with_settings(config, own, f"--set {group}")
