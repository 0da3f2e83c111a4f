"""Recorded RGB-D frames of a BOP folder as backgrounds to place objects before."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from pose_tracking.core.arrays import Bool, Float, Float32, UInt8
from pose_tracking.core.camera import CameraIntrinsics
from pose_tracking.core.errors import DatasetError
from pose_tracking.core.planes import find_plane
from pose_tracking.datasets.selection import SPLITS, in_split
from pose_tracking.simulation.rendering.planes import PlaneTexture, on_plane
from pose_tracking.simulation.rendering.renderer import Surface
from pose_tracking.simulation.rendering.textures import fractal_noise

# Depth step over squared depth (1/m) of the first Kinect and its kin: an eighth of a pixel, 75 mm, 580 px.
KINECT_QUANTUM = 0.125 / (0.075 * 580)


@dataclass
class Background:
    """A surface without bodies, and the plane that objects may rest on.

    Attributes:
        surface: colours and depth; `surface.lit` marks what the scene's lights act on.
        plane: (4,) (n, d) with n.x + d = 0 on the plane in the camera frame, n pointing at the camera's side (m), or
            None where there is none.
        support: (H, W) bool pixels of the plane.
        recorded: (H, W) bool pixels that hold a real sensor's reading.
        quantum: depth step of that sensor over the squared depth (1/m), or None without one.
    """

    surface: Surface
    plane: Float | None
    support: Bool
    recorded: Bool
    quantum: float | None = None


@dataclass(frozen=True)
class _Recording:
    color: Path
    depth: Path
    matrix: Float
    depth_scale: float


class RecordedBackgrounds:
    """RGB-D frames of a folder of BOP scenes, as random backgrounds.

    Args:
        folder: a BOP split (folders of scenes) or one scene (with ``scene_camera.json``).
        split: "train" leaves out every 5th frame, "test" has only those, "all" has all.

    Raises:
        DatasetError: the folder is missing or holds no frames.
    """

    def __init__(self, folder: str | Path, split: str = "train") -> None:
        folder = Path(folder)
        if split not in SPLITS:
            raise DatasetError(f"background split {split!r} is not one of {', '.join(SPLITS)}")
        scenes = [folder] if (folder / "scene_camera.json").is_file() else sorted(folder.glob("*/"))
        recordings = []
        for scene in scenes:
            if not (scene / "scene_camera.json").is_file():
                continue
            try:
                cameras = json.loads((scene / "scene_camera.json").read_text())
                for key, camera in sorted(cameras.items(), key=lambda item: int(item[0])):
                    color, depth = (_find(scene / kind, int(key)) for kind in ("rgb", "depth"))
                    if color is None or depth is None:
                        continue
                    matrix = np.array(camera["cam_K"], float).reshape(3, 3)
                    scale = float(camera.get("depth_scale", 1.0)) * 1e-3
                    recordings.append((int(key), _Recording(color, depth, matrix, scale)))
            except (OSError, ValueError, KeyError, TypeError) as error:
                raise DatasetError(f"{scene / 'scene_camera.json'}: cannot be read ({error!r})") from error
        if not recordings:
            raise DatasetError(
                f"{folder}: no RGB-D backgrounds (expected BOP scenes with rgb/, depth/, scene_camera.json)"
            )
        self._recordings = [r for key, r in recordings if in_split(key, split)]
        if not self._recordings:
            raise DatasetError(f"{folder}: its {len(recordings)} frames leave none for background split {split!r}")
        self._loaded: dict[int, tuple[UInt8, Float32, Float | None]] = {}

    def __len__(self) -> int:
        return len(self._recordings)

    def recording(self, index: int) -> tuple[UInt8, Float32, CameraIntrinsics, Float | None]:
        """Recording number `index` as it is: colour, depth (m), camera and the plane (4,) it shows, if any."""
        color, depth, plane = self._load(index)
        camera = CameraIntrinsics.from_matrix(self._recordings[index].matrix, depth.shape[1], depth.shape[0])
        return color, depth, camera, plane

    def sample(self, intrinsics: CameraIntrinsics, rng: np.random.Generator, augment: bool = True) -> Background:
        """A background seen by a camera with `intrinsics`.

        The recording is warped so that each ray keeps its point: geometry stays that of the real scene. With
        `augment` it may be mirrored, scaled in size (depth times a factor), recoloured, or get a new table top.
        """
        index = int(rng.integers(len(self._recordings)))
        color, depth, plane = self._load(index)
        matrix = self._recordings[index].matrix.copy()
        if augment and rng.random() < 0.5:
            color, depth = color[:, ::-1], depth[:, ::-1]
            matrix[0, 2] = color.shape[1] - 1 - matrix[0, 2]
            plane = None if plane is None else plane * [-1, 1, 1, 1]
        color, depth = _reproject(color, depth, matrix, intrinsics)
        factor = 1.0
        if augment:
            factor = float(rng.uniform(0.85, 1.5))
            depth = depth * np.float32(factor)
            plane = None if plane is None else np.append(plane[:3], plane[3] * factor)
        quantum = KINECT_QUANTUM / factor
        support = on_plane(depth, plane, intrinsics)
        surface = Surface.empty(intrinsics.height, intrinsics.width)
        surface.depth = depth
        image = color.astype(np.float32)
        if augment:
            if rng.random() < 0.45 and support.any() and plane is not None:
                paint_plane(image, support, PlaneTexture.random(plane[:3], rng), depth, intrinsics)
            image = _recolor(image, rng)
        surface.albedo = image
        recorded = depth > 0
        if augment and rng.random() < 0.5:
            # A wall behind the holes, so that "no depth" does not come to mean "background".
            wall = np.float32(rng.uniform(1.6, 3.5)) * (1 + 0.15 * (fractal_noise(rng, 1, 2) - 0.5))
            behind = cv2.resize(wall, (intrinsics.width, intrinsics.height))
            surface.depth = np.where(recorded, depth, behind).astype(np.float32)
        return Background(surface, plane, support, recorded, float(quantum))

    def _load(self, index: int) -> tuple[UInt8, Float32, Float | None]:
        if index not in self._loaded:
            entry = self._recordings[index]
            color = cv2.imread(str(entry.color), cv2.IMREAD_COLOR)
            raw = cv2.imread(str(entry.depth), cv2.IMREAD_UNCHANGED)
            if color is None or raw is None or color.shape[:2] != raw.shape:
                raise DatasetError(f"{entry.color}: cannot be read, or its depth image is of another size")
            depth = (raw * entry.depth_scale).astype(np.float32)
            height, width = depth.shape
            camera = CameraIntrinsics.from_matrix(entry.matrix, width, height)
            self._loaded[index] = (np.ascontiguousarray(color[..., ::-1]), depth, find_plane(depth, camera, index))
        return self._loaded[index]


def _find(folder: Path, number: int) -> Path | None:
    for suffix in (".png", ".jpg"):
        path = folder / f"{number:06d}{suffix}"
        if path.is_file():
            return path
    return None


def _reproject(
    color: UInt8,
    depth: Float32,
    matrix: Float,
    intrinsics: CameraIntrinsics,
) -> tuple[UInt8, Float32]:
    """Resample a recording for another camera at the same place; what it did not see is mirrored, without depth."""
    target = intrinsics.matrix
    scale = target[0, 0] / matrix[0, 0]
    scale = target[[0, 1], [0, 1]] / matrix[[0, 1], [0, 1]]
    shift = target[:2, 2] - scale * matrix[:2, 2]
    affine = np.array([[scale[0], 0, shift[0]], [0, scale[1], shift[1]]])
    size = (intrinsics.width, intrinsics.height)
    mirrored = cv2.warpAffine(
        np.ascontiguousarray(color), affine, size, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT
    )
    warped = cv2.warpAffine(np.ascontiguousarray(depth), affine, size, flags=cv2.INTER_NEAREST)
    return np.asarray(mirrored, np.uint8), np.asarray(warped, np.float32)


def paint_plane(
    image: Float32,
    support: Bool,
    texture: PlaneTexture,
    depth: Float32,
    intrinsics: CameraIntrinsics,
    flat: bool = False,
) -> None:
    """Give the plane of an image (H, W, 3) another surface, keeping the light on it unless `flat`."""
    colors = texture.colors(depth, intrinsics)
    if not flat:
        gray = image.mean(2)
        mean = max(float(gray[support].mean()), 1.0)
        light = cv2.GaussianBlur(np.where(support, gray, mean).astype(np.float32), (0, 0), 8) / np.float32(mean)
        colors = colors * light[..., None]
    image[support] = np.clip(colors, 0, 255)[support]


def _recolor(image: Float32, rng: np.random.Generator) -> Float32:
    """Change gain, contrast, white balance and, at times, hue of a photograph."""
    gain = rng.uniform(0.85, 1.15, 3) * np.exp(rng.uniform(-0.7, 0.25))
    out = np.clip(image * gain.astype(np.float32), 0, 255)
    if rng.random() < 0.3:
        hsv = cv2.cvtColor(out.astype(np.uint8), cv2.COLOR_RGB2HSV)
        hsv[..., 0] = (hsv[..., 0].astype(np.int16) + int(rng.integers(180))) % 180
        out = cv2.cvtColor(hsv, cv2.COLOR_HSV2RGB).astype(np.float32)
    return out
