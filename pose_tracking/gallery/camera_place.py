"""Where a camera stands: a file with its pose in the map frame."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pose_tracking.core.arrays import Float
from pose_tracking.core.errors import ConfigError
from pose_tracking.core.geometry import make_transform, rotation_from_quaternion_xyzw
from pose_tracking.core.yaml_files import YamlFileError, read_yaml

_EXPECTED = "expected position: [x, y, z] with quaternion_xyzw: [x, y, z, w], or matrix: four rows of four; map: NAME"


@dataclass(frozen=True, eq=False)
class CameraPlace:
    """(4, 4) ``T_map_camera`` of the optical frame, metres, and the name of the map frame or None."""

    pose: Float
    map_frame: str | None


def read_camera_place(path: str | Path) -> CameraPlace:
    """The pose in a YAML or JSON file.

    Raises:
        ConfigError: the file cannot be read, or has no pose of a camera in it.
    """
    path = Path(path).expanduser()
    try:
        content = read_yaml(path)
    except YamlFileError as error:
        raise ConfigError(f"{path}: cannot be read as the pose of a camera ({error})") from error
    if not isinstance(content, dict):
        raise ConfigError(f"{path}: {_EXPECTED}")
    unknown = sorted(set(content) - {"position", "quaternion_xyzw", "matrix", "map"}, key=str)
    if unknown:
        raise ConfigError(f"{path}: unknown key {unknown[0]!r}: {_EXPECTED}")
    name = content.get("map")
    if name is not None and (not isinstance(name, str) or not name):
        raise ConfigError(f"{path}: map = {name!r} is no name")
    if "matrix" in content and len(content) == 1 + ("map" in content):
        return CameraPlace(_rigid(_numbers(content["matrix"], (4, 4), "matrix", path), path), name)
    if {"position", "quaternion_xyzw"} == set(content) - {"map"}:
        position = _numbers(content["position"], (3,), "position", path)
        quaternion = _numbers(content["quaternion_xyzw"], (4,), "quaternion_xyzw", path)
        if abs(np.linalg.norm(quaternion) - 1) > 0.01:
            raise ConfigError(f"{path}: quaternion_xyzw = {quaternion.tolist()} has not the length 1")
        return CameraPlace(make_transform(rotation_from_quaternion_xyzw(quaternion), position), name)
    raise ConfigError(f"{path}: {_EXPECTED}")


def _numbers(value: object, shape: tuple[int, ...], key: str, path: Path) -> Float:
    try:
        numbers = np.asarray(value, float)
    except (TypeError, ValueError):
        numbers = np.zeros(0)
    if numbers.shape != shape or not np.isfinite(numbers).all():
        raise ConfigError(f"{path}: {key} is not {' x '.join(map(str, shape))} numbers")
    return numbers


def _rigid(matrix: Float, path: Path) -> Float:
    rotation = matrix[:3, :3]
    is_rotation = np.allclose(rotation @ rotation.T, np.eye(3), atol=1e-3) and np.linalg.det(rotation) > 0
    if not is_rotation or not np.allclose(matrix[3], [0, 0, 0, 1]):
        raise ConfigError(f"{path}: matrix is no rotation with a translation in metres: {_EXPECTED}")
    return matrix
