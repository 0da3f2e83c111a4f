"""Backgrounds to place objects before: recorded RGB-D frames of a BOP folder, or a room drawn by code."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from ..camera import CameraIntrinsics
from ..errors import DatasetError
from .renderer import Surface
from .textures import fractal_noise, random_color, sample_texture, texture_bank

# Recorded backgrounds whose index divides by this are for testing and never trained on.
HELD_OUT_EVERY = 5
SPLITS = ("train", "test", "all")


@dataclass
class Background:
    """A surface without bodies, and the plane that objects may rest on.

    Attributes:
        surface: colours and depth; `surface.lit` marks what the scene's lights act on.
        plane: (4,) (n, d) with n.x + d = 0 on the plane in the camera frame, n pointing at the camera's side (m), or
            None where there is none.
        support: (H, W) bool pixels of the plane.
        recorded: (H, W) bool pixels that hold a real sensor's reading.
    """

    surface: Surface
    plane: NDArray[np.float64] | None
    support: NDArray[np.bool_]
    recorded: NDArray[np.bool_]


@dataclass(frozen=True)
class _Recording:
    color: Path
    depth: Path
    matrix: NDArray[np.float64]
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
        self._recordings = [
            r for key, r in recordings if split == "all" or (key % HELD_OUT_EVERY == 0) == (split == "test")
        ]
        if not self._recordings:
            raise DatasetError(f"{folder}: its {len(recordings)} frames leave none for background split {split!r}")
        self._loaded: dict[int, tuple[NDArray[np.uint8], NDArray[np.float32], NDArray[np.float64] | None]] = {}

    def __len__(self) -> int:
        return len(self._recordings)

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
        if augment:
            factor = float(rng.uniform(0.85, 1.5))
            depth = depth * np.float32(factor)
            plane = None if plane is None else np.append(plane[:3], plane[3] * factor)
        support = _on_plane(depth, plane, intrinsics)
        surface = Surface.empty(intrinsics.height, intrinsics.width)
        surface.depth = depth
        image = color.astype(np.float32)
        if augment:
            if rng.random() < 0.45 and support.any() and plane is not None:
                _paint_plane(image, support, plane, depth, intrinsics, rng)
            image = _recolor(image, rng)
        surface.albedo = image
        recorded = depth > 0
        if augment and rng.random() < 0.5:
            # A wall behind the holes, so that "no depth" does not come to mean "background".
            wall = np.float32(rng.uniform(1.6, 3.5)) * (1 + 0.15 * (fractal_noise(rng, 1, 2) - 0.5))
            wall = cv2.resize(wall, (intrinsics.width, intrinsics.height))
            surface.depth = np.where(recorded, depth, wall).astype(np.float32)
        return Background(surface, plane, support, recorded)

    def _load(self, index: int) -> tuple[NDArray[np.uint8], NDArray[np.float32], NDArray[np.float64] | None]:
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


def find_plane(depth: NDArray[np.float32], intrinsics: CameraIntrinsics, seed: int = 0) -> NDArray[np.float64] | None:
    """(4,) plane (n, d) with the most points of a depth image (RANSAC), or None where none holds a tenth of them."""
    rng = np.random.default_rng(seed)
    points = intrinsics.backproject(depth)[::6, ::6].reshape(-1, 3)
    points = points[points[:, 2] > 0]
    if len(points) < 50:
        return None
    best, best_count = None, 0
    for _ in range(80):
        a, b, c = points[rng.choice(len(points), 3, replace=False)]
        normal = np.cross(b - a, c - a)
        norm = np.linalg.norm(normal)
        if norm < 1e-6:
            continue
        normal = normal / norm
        count = int((np.abs((points - a) @ normal) < 0.008).sum())
        if count > best_count:
            best, best_count = np.append(normal, -normal @ a), count
    if best is None or best_count < 0.1 * len(points):
        return None
    near = points[np.abs(points @ best[:3] + best[3]) < 0.01]
    centre = near.mean(0)
    normal = np.linalg.svd(near - centre, full_matrices=False)[2][2]
    normal = normal if normal @ centre < 0 else -normal  # towards the camera
    return np.append(normal, -normal @ centre).astype(np.float64)


def plane_depth(plane: NDArray[np.float64], intrinsics: CameraIntrinsics) -> NDArray[np.float32]:
    """(H, W) depth of a plane, 0 where a ray does not meet it in front of the camera."""
    rows = ((np.arange(intrinsics.height) - intrinsics.cy) / intrinsics.fy).astype(np.float32)[:, None]
    cols = ((np.arange(intrinsics.width) - intrinsics.cx) / intrinsics.fx).astype(np.float32)[None]
    slope = cols * np.float32(plane[0]) + rows * np.float32(plane[1]) + np.float32(plane[2])
    with np.errstate(divide="ignore"):
        depth = np.float32(-plane[3]) / slope
    return np.where((depth > 0) & (depth < 20), depth, 0).astype(np.float32)


def _along(axis: NDArray[np.float64], depth: NDArray[np.float32], intrinsics: CameraIntrinsics) -> NDArray[np.float32]:
    """(H, W) coordinate along `axis` (camera frame, m) of the points of a depth image."""
    rows = ((np.arange(intrinsics.height) - intrinsics.cy) / intrinsics.fy).astype(np.float32)[:, None]
    cols = ((np.arange(intrinsics.width) - intrinsics.cx) / intrinsics.fx).astype(np.float32)[None]
    slope = cols * np.float32(axis[0]) + (rows * np.float32(axis[1]) + np.float32(axis[2]))
    return np.asarray(depth * slope, np.float32)


def _on_plane(
    depth: NDArray[np.float32], plane: NDArray[np.float64] | None, intrinsics: CameraIntrinsics
) -> NDArray[np.bool_]:
    if plane is None:
        return np.zeros(depth.shape, bool)
    return (np.abs(plane_depth(plane, intrinsics) - depth) < 0.015 + 0.01 * depth) & (depth > 0)


def _reproject(
    color: NDArray[np.uint8],
    depth: NDArray[np.float32],
    matrix: NDArray[np.float64],
    intrinsics: CameraIntrinsics,
) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
    """Resample a recording for another camera at the same place; what it did not see is mirrored, without depth."""
    target = intrinsics.matrix
    scale = target[0, 0] / matrix[0, 0]
    scale = target[[0, 1], [0, 1]] / matrix[[0, 1], [0, 1]]
    shift = target[:2, 2] - scale * matrix[:2, 2]
    affine = np.array([[scale[0], 0, shift[0]], [0, scale[1], shift[1]]])
    size = (intrinsics.width, intrinsics.height)
    return (
        cv2.warpAffine(
            np.ascontiguousarray(color), affine, size, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT
        ),
        cv2.warpAffine(np.ascontiguousarray(depth), affine, size, flags=cv2.INTER_NEAREST),
    )


def _plane_axes(normal: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    side = np.cross(normal, [0.0, 0.0, 1.0] if abs(normal[2]) < 0.9 else [1.0, 0.0, 0.0])
    side /= np.linalg.norm(side)
    return side, np.cross(normal, side)


def plane_colors(
    plane: NDArray[np.float64],
    depth: NDArray[np.float32],
    intrinsics: CameraIntrinsics,
    rng: np.random.Generator,
    texture: NDArray[np.uint8] | None = None,
) -> NDArray[np.float32]:
    """(H, W, 3) texture colours of a plane seen at `depth`."""
    bank = texture_bank()
    texture = bank[rng.integers(len(bank))] if texture is None else texture
    side, up = _plane_axes(plane[:3])
    turn, period = rng.uniform(0, np.pi), float(np.exp(rng.uniform(np.log(0.15), np.log(1.5))))
    axes = np.stack([np.cos(turn) * side + np.sin(turn) * up, -np.sin(turn) * side + np.cos(turn) * up]) / period
    offset = rng.uniform(0, 1, 2)
    u, v = (_along(a, depth, intrinsics) + np.float32(o) for a, o in zip(axes, offset, strict=True))
    return sample_texture(texture, u, v)


def _paint_plane(
    image: NDArray[np.float32],
    support: NDArray[np.bool_],
    plane: NDArray[np.float64],
    depth: NDArray[np.float32],
    intrinsics: CameraIntrinsics,
    rng: np.random.Generator,
) -> None:
    """Give the table of a recording another surface, keeping the light on it."""
    colors = plane_colors(plane, depth, intrinsics, rng)
    gray = image.mean(2)
    light = cv2.GaussianBlur(np.where(support, gray, gray[support].mean()), (0, 0), 8) / max(gray[support].mean(), 1)
    image[support] = np.clip(colors * light[..., None], 0, 255)[support]


def _recolor(image: NDArray[np.float32], rng: np.random.Generator) -> NDArray[np.float32]:
    """Change gain, contrast, white balance and, at times, hue of a photograph."""
    gain = rng.uniform(0.85, 1.15, 3) * np.exp(rng.uniform(-0.7, 0.25))
    out = np.clip(image * gain.astype(np.float32), 0, 255)
    if rng.random() < 0.3:
        hsv = cv2.cvtColor(out.astype(np.uint8), cv2.COLOR_RGB2HSV)
        hsv[..., 0] = (hsv[..., 0].astype(np.int16) + int(rng.integers(180))) % 180
        out = cv2.cvtColor(hsv, cv2.COLOR_HSV2RGB).astype(np.float32)
    return out


def draw_room(intrinsics: CameraIntrinsics, rng: np.random.Generator) -> Background:
    """A table before floor and walls with random textures, seen from above at a random angle; lit by the scene.

    The table's distance at the image centre is 0.55 to 1.3 m.
    """
    surface = Surface.empty(intrinsics.height, intrinsics.width)
    tilt, roll = np.radians(rng.uniform(15, 75)), np.radians(rng.normal(0, 6))
    # Angle between the optical axis and the table: 90 degrees would look straight down.
    normal = np.array([np.sin(roll) * np.cos(tilt), -np.cos(roll) * np.cos(tilt), -np.sin(tilt)])
    distance = rng.uniform(0.55, 1.3)
    table = np.append(normal, -normal[2] * distance)
    floor = np.append(normal, table[3] + rng.uniform(0.4, 0.9))
    heading = rng.normal(0, 0.5)
    side, ahead = _plane_axes(normal)
    ahead = ahead if ahead[2] > 0 else -ahead
    facing = -(np.cos(heading) * ahead + np.sin(heading) * side)
    wall = np.append(facing, -facing @ (np.array([0, 0, distance]) + ahead * rng.uniform(0.35, 2.0)))
    planes = [(wall, None), (floor, None), (table, rng.uniform(0.35, 1.2))]
    if rng.random() < 0.4:  # a second wall
        other = np.sign(rng.normal()) * side
        planes.append((np.append(other, -other @ (np.array([0, 0, distance]) - other * rng.uniform(0.5, 1.5))), None))
    support = np.zeros(surface.depth.shape, bool)
    dark = rng.random() < 0.2
    for number, (plane, extent) in enumerate(planes):
        depth = plane_depth(plane, intrinsics)
        wins = (depth > 0) & ((surface.depth == 0) | (depth < surface.depth))
        if extent is not None:  # the table ends behind and beside the scene
            wins &= np.abs(_along(side, depth, intrinsics) - distance * side[2]) < extent * rng.uniform(0.6, 1.2)
            wins &= _along(ahead, depth, intrinsics) - distance * ahead[2] < extent
        surface.depth = np.where(wins, depth, surface.depth)
        if rng.random() < 0.25:
            colors = np.broadcast_to(random_color(rng), surface.albedo.shape)
        else:
            colors = plane_colors(plane, depth, intrinsics, rng)
        if dark:
            colors = colors * np.float32(0.2)
        np.copyto(surface.albedo, colors, where=wins[..., None])
        np.copyto(surface.normals, plane[:3].astype(np.float32), where=wins[..., None])
        surface.lit |= wins
        support[wins] = number == 2
    return Background(surface, table, support, np.zeros(surface.depth.shape, bool))
