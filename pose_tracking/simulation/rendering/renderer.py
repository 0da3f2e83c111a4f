"""Composites posed meshes over a background, with exact visibility: ray cast, z-buffer, light, soften edges."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import cv2
import numpy as np
from numpy.typing import NDArray

from pose_tracking.core.arrays import Bool, Float, Float32, Int, UInt8
from pose_tracking.core.camera import CameraIntrinsics
from pose_tracking.objects.raycasting import MeshRaycaster

from .textures import sample_texture

Float32 = Float32
BLOCK = 8192  # pixels shaded at a time: what is computed of them stays in a processor's cache


@dataclass
class Material:
    """How a body's surface looks.

    Attributes:
        tint: (3, 3) matrix applied to the surface's RGB (brightness, hue and saturation jitter).
        specular: strength of the highlight, 0 to 1.
        shininess: exponent of the highlight.
        texture: (S, S, 3) uint8 painted over the vertex colours, or None.
        texture_period: metres a texture repeats after.
        texture_weight: share of the texture in the colour, 0 to 1.
        texture_frame: (3, 4) from object coordinates (m) to those of the texture (periods), in place of
            `texture_period`; None where the texture lies along the object's axes.
    """

    tint: Float32 = field(default_factory=lambda: np.eye(3, dtype=np.float32))
    specular: float = 0.1
    shininess: float = 20.0
    texture: UInt8 | None = None
    texture_period: float = 0.1
    texture_weight: float = 1.0
    texture_frame: Float32 | None = None


@dataclass
class Body:
    """A posed mesh, `scale` times as large as its object's; `obj_id` 0 is clutter, which is not ground truth."""

    caster: MeshRaycaster
    pose: Float
    obj_id: int = 0
    instance_id: int | None = None
    material: Material = field(default_factory=Material)
    scale: float = 1.0


@dataclass
class Light:
    """A light in the camera frame: at a point (m), or, where `directional`, shining from direction `position`.

    `reaching` (H, W) is the share of it that reaches each pixel, where shadows are known.
    """

    position: Float
    color: Float
    directional: bool = False
    reaching: Float32 | None = None


@dataclass
class Surface:
    """What a camera ray meets, before light: the layers of a deferred renderer.

    Attributes:
        albedo: (H, W, 3) float32 RGB 0 to 255 (sRGB); a photographed background holds its final colour.
        depth: (H, W) float32 metres, 0 where there is nothing or nothing is known.
        normals: (H, W, 3) float32 unit normals in the camera frame, 0 where `lit` is not set.
        specular, shininess: (H, W) float32.
        lit: (H, W) bool, pixels that lights act on.
        index: (H, W) int16 index of the body seen, -1 for the background.
        silhouettes: per body, the pixels of its whole silhouette, parts hidden or outside the image included.
    """

    albedo: Float32
    depth: Float32
    normals: Float32
    specular: Float32
    shininess: Float32
    lit: Bool
    index: NDArray[np.int16]
    silhouettes: list[int] = field(default_factory=list)

    @classmethod
    def empty(cls, height: int, width: int) -> Surface:
        """A black surface at an unknown distance."""
        flat = (height, width)
        return cls(
            np.zeros((*flat, 3), np.float32),
            np.zeros(flat, np.float32),
            np.zeros((*flat, 3), np.float32),
            np.zeros(flat, np.float32),
            np.ones(flat, np.float32),
            np.zeros(flat, bool),
            np.full(flat, -1, np.int16),
        )


def draw(surface: Surface, bodies: list[Body], intrinsics: CameraIntrinsics) -> None:
    """Draw `bodies` into `surface` with a z-buffer; fills `index` and `silhouettes`.

    Pixels of unknown depth (0) count as infinitely far.
    """
    for number, body in enumerate(bodies, start=len(surface.silhouettes)):
        (x0, y0, x1, y1), hits = body.caster.render(body.pose, intrinsics)
        hit = hits.face >= 0
        surface.silhouettes.append(_silhouette(body, intrinsics, (x0, y0, x1, y1), int(hit.sum())))
        if not hit.any():
            continue
        chosen = np.flatnonzero(hit)
        rows, cols = np.divmod(chosen, x1 - x0)
        pixels = (rows + y0) * intrinsics.width + cols + x0
        depth, before = hits.depth[chosen], surface.depth.ravel()[pixels]
        wins = (before == 0) | (depth < before)
        pixels, chosen = pixels[wins], chosen[wins]
        if len(chosen) == 0:
            continue
        color, normal = _appearance(body, hits.face[chosen], hits.barycentric[chosen])
        # A face seen from behind (open shells) is lit from the side it is seen from.
        rows, cols = np.divmod(pixels, intrinsics.width)
        slope = normal[:, 0] * ((cols - intrinsics.cx) / intrinsics.fx).astype(np.float32)
        slope += normal[:, 1] * ((rows - intrinsics.cy) / intrinsics.fy).astype(np.float32)
        normal[slope + normal[:, 2] > 0] *= -1
        surface.albedo.reshape(-1, 3)[pixels] = color
        surface.normals.reshape(-1, 3)[pixels] = normal
        surface.depth.ravel()[pixels] = depth[wins]
        surface.specular.ravel()[pixels] = body.material.specular
        surface.shininess.ravel()[pixels] = body.material.shininess
        surface.lit.ravel()[pixels] = True
        surface.index.ravel()[pixels] = number


def _silhouette(body: Body, intrinsics: CameraIntrinsics, box: tuple[int, int, int, int], inside: int) -> int:
    """Pixels of the whole silhouette: those inside the image, and an estimate of the rest where it is cut off."""
    x0, y0, x1, y1 = box
    width, height = intrinsics.width, intrinsics.height
    if x0 > 0 and y0 > 0 and x1 < width and y1 < height:
        return inside
    wide = replace(intrinsics, width=3 * width, height=3 * height, cx=intrinsics.cx + width, cy=intrinsics.cy + height)
    step = max(2, int(np.sqrt(inside + 1) / 25))
    _, hits = body.caster.render(body.pose, wide, step)
    return max(inside, int((hits.face >= 0).sum()) * step * step)


def _appearance(body: Body, faces: Int, barycentric: Float32) -> tuple[Float32, Float32]:
    """Surface colour (P, 3), 0 to 255, and unit normal (P, 3) in the camera frame at points of a body."""
    mesh, material = body.caster.mesh, body.material
    corners = mesh.faces[faces]
    local_normal = _interpolate(mesh.normals, corners, barycentric)
    color = _interpolate(mesh.colors, corners, barycentric)
    if material.texture is not None:
        points, facing = _interpolate(mesh.vertices, corners, barycentric), local_normal
        if material.texture_frame is None:
            points = points / np.float32(material.texture_period)
        else:
            turn = material.texture_frame[:, :3].T
            points, facing = points @ turn + material.texture_frame[:, 3], facing @ turn
        # Box mapping: each point takes the texture of the axis its normal is nearest to.
        axis = np.abs(facing).argmax(1)
        u = np.where(axis == 0, points[:, 1], points[:, 0])
        v = np.where(axis == 2, points[:, 1], points[:, 2])
        color += np.float32(material.texture_weight) * (sample_texture(material.texture, u, v) - color)
    color = np.clip(color @ material.tint.T, 0, 255)
    normal = local_normal @ body.pose[:3, :3].T.astype(np.float32)
    return color, _unit(normal.T).T


def _interpolate(values: NDArray, corners: NDArray[np.int32], weights: Float32) -> Float32:
    """(P, 3) vertex values at barycentric coordinates `weights` (P, 3) of the triangles `corners` (P, 3)."""
    total = values[corners[:, 0]] * weights[:, :1]
    total += values[corners[:, 1]] * weights[:, 1:2]
    total += values[corners[:, 2]] * weights[:, 2:]
    return np.asarray(total, np.float32)


def shade(surface: Surface, intrinsics: CameraIntrinsics, lights: list[Light], ambient: Float) -> Float32:
    """(H, W, 3) float32 sRGB, 0 to 255, of a surface under lights (Lambert and Blinn-Phong, in linear colour).

    Args:
        surface: layers; pixels that are not `lit` keep their colour.
        intrinsics: camera.
        lights: lights in the camera frame; their colours are linear RGB, about 1 in sum.
        ambient: (3,) linear RGB.
    """
    image = surface.albedo.copy()
    lit = np.flatnonzero(surface.lit)
    for start in range(0, len(lit), BLOCK):
        pixels = lit[start : start + BLOCK]
        image.reshape(-1, 3)[pixels] = _lit_colors(surface, pixels, intrinsics, lights, ambient)
    return image


def _lit_colors(
    surface: Surface,
    where: Int,
    intrinsics: CameraIntrinsics,
    lights: list[Light],
    ambient: Float,
) -> Float32:
    """(P, 3) sRGB, 0 to 255, of the pixels with flat indices `where` (P,)."""
    rows, cols = np.divmod(where, surface.lit.shape[1])
    # One array a component: sums over a last axis of three are what NumPy is slowest at.
    normal = surface.normals.reshape(-1, 3)[where].T.copy()
    depth = surface.depth.ravel()[where]
    point = np.empty((3, len(where)), np.float32)
    point[0] = (cols - intrinsics.cx) / intrinsics.fx * depth
    point[1] = (rows - intrinsics.cy) / intrinsics.fy * depth
    point[2] = depth
    specular = surface.specular.ravel()[where]
    glossy = np.flatnonzero(specular > 0.02)
    specular, shininess = specular[glossy], surface.shininess.ravel()[where][glossy]
    view, glossy_normal = -_unit(point[:, glossy]), normal[:, glossy]
    diffuse = np.repeat(ambient.astype(np.float32)[:, None], len(where), axis=1)
    highlight = np.zeros((3, len(glossy)), np.float32)
    for light in lights:
        position = light.position.astype(np.float32)[:, None]
        towards = _unit(position) if light.directional else _unit(position - point)
        cosine = np.maximum(_dot(normal, towards), 0)
        if light.reaching is not None:
            cosine = cosine * light.reaching.ravel()[where]
        color = light.color.astype(np.float32)[:, None]
        diffuse += cosine * color
        half = _unit((towards if light.directional else towards[:, glossy]) + view)
        lobe = np.maximum(_dot(glossy_normal, half), 0) ** shininess
        highlight += specular * lobe * np.minimum(cosine[glossy] * 20, 1) * color
    linear = _TO_LINEAR[np.clip(surface.albedo.reshape(-1, 3)[where], 0, 255).astype(np.uint8)].T * diffuse
    linear[:, glossy] += highlight
    # A table of 4096 steps spares a power a pixel; it is indexed by the square root, where steps are even to the eye.
    steps = np.sqrt(np.minimum(linear, 1), dtype=np.float32) * np.float32(4095)
    return _TO_SRGB[(steps + np.float32(0.5)).astype(np.int16)].T


_TO_LINEAR = ((np.arange(256) / 255) ** 2.2).astype(np.float32)
_TO_SRGB = (255 * (np.arange(4096) / 4095) ** (2 / 2.2)).astype(np.float32)


def _dot(a: Float32, b: Float32) -> Float32:
    """Scalar products of (3, P) vectors."""
    return a[0] * b[0] + a[1] * b[1] + a[2] * b[2]


def _unit(vectors: Float32) -> Float32:
    """(3, P) vectors made of unit length."""
    return np.asarray(vectors / np.maximum(np.sqrt(_dot(vectors, vectors)), np.float32(1e-9)), np.float32)


def soften_edges(image: Float32, index: NDArray[np.int16], sigma: float) -> Float32:
    """Blend across the outlines of bodies, as a lens and a Bayer pattern do, so that no cut-out edge is left."""
    edge = np.zeros(index.shape, np.uint8)
    edge[:, 1:] |= (index[:, 1:] != index[:, :-1]).astype(np.uint8)
    edge[1:] |= (index[1:] != index[:-1]).astype(np.uint8)
    wide = cv2.dilate(edge, np.ones((2, 2), np.uint8), anchor=(1, 1))
    soft = cv2.GaussianBlur(image, (0, 0), sigma)
    return np.where(wide[..., None] > 0, soft, image)


def contact_shadows(image: Float32, surface: Surface, bodies: list[Body], intrinsics: CameraIntrinsics) -> Float32:
    """Darken what lies close behind a body: a cheap stand-in for the shade an object throws on its support."""
    height, width = surface.depth.shape
    shade_map = np.ones((height, width), np.float32)
    for number, body in enumerate(bodies):
        x0, y0, x1, y1 = body.caster.region(body.pose, intrinsics)
        if x1 - x0 < 4 or y1 - y0 < 4:
            continue
        reach = int(0.25 * max(x1 - x0, y1 - y0)) + 2
        x0, y0, x1, y1 = max(0, x0 - reach), max(0, y0 - reach), min(width, x1 + reach), min(height, y1 + reach)
        own = surface.index[y0:y1, x0:x1] == number
        if not own.any():
            continue
        depth = surface.depth[y0:y1, x0:x1]
        vertices = body.caster.mesh.vertices[:: max(1, len(body.caster.mesh.vertices) // 300)]
        size = float(np.ptp(vertices @ body.pose[2, :3])) + 0.02
        near = own.astype(np.float32)
        window = (max(3, reach * 2 // 3),) * 2
        spread = cv2.blur(cv2.blur(cv2.blur(near, window), window), window)  # three boxes: nearly a Gaussian
        centre = float(np.median(depth[own]))
        close = (np.abs(depth - centre) < size) & ~own & (depth > 0)
        shade_map[y0:y1, x0:x1] *= np.where(close, 1 - 0.6 * spread, 1)
    return image * shade_map[..., None]
