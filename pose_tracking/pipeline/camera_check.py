"""Do the objects fit their models and the colour image the depth? What all detections say alike, the camera says.

A single detection may be cut, hidden or false. But where nearly all masks are larger than their models are at the depth
that was measured there, the depth is too large or the focal length too small; and where nearly all models fitted to
the depth lie to one side of their masks, the depth is not registered to the colour.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

import numpy as np

from pose_tracking.core.arrays import Bool, Int
from pose_tracking.core.boxes import mask_box
from pose_tracking.core.camera import REFERENCE_FOCAL, CameraIntrinsics
from pose_tracking.core.frame import RGBDFrame
from pose_tracking.core.results import Detection, Instances
from pose_tracking.objects import ObjectSet
from pose_tracking.pose.fitting.scoring import Verifier
from pose_tracking.segmentation.gating import size_ratio

# Samples that are looked at together, and the fewest that say anything, from so many frames.
WINDOW, FEWEST, FEWEST_FRAMES = 60, 15, 5
MIN_SCORE = 0.5  # of the detector; what it is less sure of is mostly hidden or false
# Instances of a frame that are compared with their models, the surest first: each costs a few ms. Once the window is
# full, so many of them in turn.
PER_FRAME, IN_TURN = 4, 2
RAYS = 1000
# Longer side of a mask in diameters of its object: mostly 0.7 to 1, whatever the view; far off, no pose is looked for.
FAR_TOO_LARGE, FAR_TOO_SMALL = 1.5, 0.3
# Where the middle sample and three quarters of all lie: logarithm of mask over model size, and pixels at
# `REFERENCE_FOCAL`. Right cameras gave classes whose masks were 5 % too small or too large for their models, so 3 %
# cannot be told.
SCALE, SCALE_QUARTILE = 0.07, 0.02
SHIFT, SHIFT_QUARTILE = 5.0, 3.0
# Logarithm of mask over model size from which a detection is false, or its mask or pose wrong: no pose fits the depth
# of a camera that is off by a quarter. A detector that does not know what it sees must not blame the camera.
MOST_SCALE = 0.25
SIDES = (5, 95)  # percentiles of an object's pixels where it begins and ends
MIN_AREA = 300  # px of a model's silhouette; of less a rim of one pixel is too large a share
MAX_HIDDEN = 0.1  # share of the silhouette behind something else


class CameraCheck:
    """Collects what the detections of the frames say of the camera, and says what is likely to be wrong with it.

    Attributes:
        warning: what is wrong, with the number, the likely causes and the fix; empty where nothing is, or where too
            little was seen yet. The sizes are forgotten where another camera comes.
    """

    def __init__(self) -> None:
        self._intrinsics: CameraIntrinsics | None = None
        self._forget()

    def _forget(self) -> None:
        self.warning = ""
        self._frames = 0
        self._sizes = _Window()
        self._scales = _Window()
        self._shifts_x = _Window()
        self._shifts_y = _Window()

    def add_instances(self, frame: RGBDFrame, instances: Instances, objects: ObjectSet) -> None:
        """Take in the sizes of a frame's instances, before any is rejected for it; `add_poses` then judges them."""
        if frame.intrinsics != self._intrinsics:
            self._forget()
            self._intrinsics = frame.intrinsics
        self._frames += 1
        for obj_id, score, mask in zip(instances.obj_ids.tolist(), instances.scores, instances.masks, strict=True):
            if score >= MIN_SCORE and objects[obj_id].has_shape and not _is_cut(mask):
                ratio = size_ratio(mask, frame, objects[obj_id].diameter)
                if ratio is not None:
                    self._sizes.add(ratio, self._frames)

    def add_poses(self, frame: RGBDFrame, detections: Sequence[Detection], verifier: Verifier) -> None:
        """Compare the masks of a frame's detections with their models at the poses found for them, and judge."""
        sure = [d for d in detections if d.score >= MIN_SCORE and d.pose is not None and d.mask is not None]
        # Of what may be of any size nothing tells whether it looks too small.
        sure = [d for d in sure if d.pose is not None and d.pose.scale is None]
        surest = sorted(sure, key=lambda d: -d.score)[:PER_FRAME]
        if surest and self._scales.count == WINDOW:
            surest = [surest[(IN_TURN * self._frames + i) % len(surest)] for i in range(min(IN_TURN, len(surest)))]
        for detection in surest:
            assert detection.pose is not None
            assert detection.mask is not None
            if _is_cut(detection.mask) or detection.obj_id not in verifier.objects.with_mesh:
                continue
            compared = verifier.compare(frame, detection.obj_id, detection.pose.pose, RAYS)
            area = len(compared.rows) * compared.step**2
            if area < MIN_AREA or np.count_nonzero(compared.hidden) > MAX_HIDDEN * len(compared.rows):
                continue
            rows, cols = _pixels(detection.mask)
            scale = 0.5 * float(np.log(len(rows) / area))
            if abs(scale) > MOST_SCALE:
                continue
            # (2, 2): along the columns and the rows, where the model and the mask begin and end.
            model = np.percentile([compared.cols, compared.rows], SIDES, axis=1).T
            seen = np.array([np.percentile(cols, SIDES), np.percentile(rows, SIDES)])
            growth = np.log((np.diff(seen) + compared.step) / (np.diff(model) + compared.step)).ravel()
            # A part of an object is never larger than the object, so only what is smaller may be one.
            self._scales.add(scale if scale > 0 or _alike(*growth) else 0.0, self._frames)
            shift = np.array([compared.cols.mean() - cols.mean(), compared.rows.mean() - rows.mean()])
            shift *= [_alike(*sides) for sides in model - seen]
            shift *= REFERENCE_FOCAL / np.array([frame.intrinsics.fx, frame.intrinsics.fy])
            self._shifts_x.add(float(shift[0]), self._frames)
            self._shifts_y.add(float(shift[1]), self._frames)
        self.warning = self._far_off() or self._shifted() or self._scaled()

    def _far_off(self) -> str:
        if self._sizes.count < FEWEST:
            return ""
        ratio = self._sizes.median
        if FAR_TOO_SMALL <= ratio <= FAR_TOO_LARGE:
            return ""
        return (
            f"the objects look {ratio:.2g} diameters large at the depth measured there (median of "
            f"{self._sizes.count}), where 0.7 to 1 is usual: depth or meshes are in a wrong unit (depth_unit of the "
            "node, depth_scale of a scene; 16UC1 is millimetres, 32FC1 metres), or camera_info is of another image"
        )

    def _shifted(self) -> str:
        shift = [window.agreed(SHIFT, SHIFT_QUARTILE) for window in (self._shifts_x, self._shifts_y)]
        if shift == [0.0, 0.0] or self._intrinsics is None:
            return ""
        x, y = np.array(shift) * [self._intrinsics.fx, self._intrinsics.fy] / REFERENCE_FOCAL
        return (
            f"the depth lies about {x:+.0f} px along and {y:+.0f} px down the image from the colour (median of "
            f"{self._shifts_x.count} detections): it is not registered to the colour (switch on the driver's "
            "alignment and take its topic), or camera_info is of the other stream"
        )

    def _scaled(self) -> str:
        scale = self._scales.agreed(SCALE, SCALE_QUARTILE)
        if scale == 0.0:
            return ""
        large, small = ("large", "small") if scale > 0 else ("small", "large")
        return (
            f"the objects look {np.exp(scale):.2f} times as large as their models at the depth measured there (median "
            f"of {self._scales.count} detections): the depth is too {large} (depth_scale), the focal lengths of "
            f"camera_info are too {small} (of another stream or resolution), or the meshes are"
        )


class _Window:
    """The last `WINDOW` samples of one thing, and the frames they are from."""

    def __init__(self) -> None:
        self._samples: deque[tuple[float, int]] = deque(maxlen=WINDOW)
        self._agreed = False

    def add(self, value: float, frame: int) -> None:
        """Take in one sample."""
        self._samples.append((value, frame))

    @property
    def count(self) -> int:
        """Number of samples; 0 while they are of too few frames to say anything."""
        return len(self._samples) if len({frame for _, frame in self._samples}) >= FEWEST_FRAMES else 0

    @property
    def median(self) -> float:
        """Of the samples."""
        return float(np.median([value for value, _ in self._samples]))

    def agreed(self, least: float, quartile: float) -> float:
        """The median where it is off by `least`, and three quarters of all by `quartile` to the same side; else 0.

        Once off, it is so until it has come back by a quarter, so that what lies at the limit is said once.
        """
        if self.count < FEWEST:
            return 0.0
        values = np.array([value for value, _ in self._samples])
        middle = float(np.median(values))
        nearer = float(np.percentile(values * np.sign(middle), 25))
        margin = 0.75 if self._agreed else 1.0
        self._agreed = abs(middle) > margin * least and nearer > margin * quartile
        return middle if self._agreed else 0.0


def _alike(one: float, other: float) -> bool:
    """Whether two numbers have the same sign, and neither is less than a third of the other.

    What lies elsewhere has moved on both of its sides, and what is larger has grown both ways. A mask of a part of its
    object has one side in common with the model, and one of its extents: it says nothing of the camera.
    """
    return bool(one * other > 0 and 3 * min(abs(one), abs(other)) >= max(abs(one), abs(other)))


def _pixels(mask: Bool) -> tuple[Int, Int]:
    """Rows and columns of the pixels of a mask, looked for in its box alone, which is far smaller than the image."""
    box = mask_box(mask)
    if box is None:
        return np.zeros(0, np.int64), np.zeros(0, np.int64)
    rows, cols = np.nonzero(mask[box[1] : box[3], box[0] : box[2]])
    return rows + box[1], cols + box[0]


def _is_cut(mask: Bool) -> bool:
    """Whether the edge of the image may cut an instance, or its mask is empty."""
    box = mask_box(mask)
    if box is None:
        return True
    height, width = mask.shape
    return bool(box[0] <= 1 or box[1] <= 1 or box[2] >= width - 1 or box[3] >= height - 1)
