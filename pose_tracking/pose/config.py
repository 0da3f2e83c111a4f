"""Options of the pose stage."""

from __future__ import annotations

from dataclasses import dataclass

from pose_tracking.core.config import option
from pose_tracking.core.errors import ConfigError

from .fitting.covariance import CovarianceConfig
from .fitting.icp import IcpConfig
from .fitting.verification import VerificationConfig
from .hypotheses.search import SearchConfig

WINDOWS = ("square", "published_mask", "published_box")


@dataclass(frozen=True)
class CropConfig:
    """How instances become network input.

    The defaults serve networks trained by this package; `densefusion_bundle.RECIPES` has what the published ones want.
    """

    window: str = option(
        "square",
        "what is cut out: a square around the box, resized to `size`; or as the published scripts, unscaled, sides "
        "rounded up to 40 px: around the largest part of the mask (LineMOD) or around the box (YCB-Video)",
        choices=WINDOWS,
    )
    size: int = option(96, "side of the square colour crop after resizing", unit="px", range=(32, 512))
    margin: float = option(
        1.15, "side of the crop over the longer side of the box; room for a box that is too tight", range=(1.0, 3.0)
    )
    points: int = option(
        256,
        "points of an instance; the paper takes 500, a CPU does half of them in half the time",
        range=(32, 4096),
    )
    min_points: int = option(
        24, "pixels with depth an instance needs, fewer give no pose", range=(4, 4096), runtime=True
    )
    gate: float = option(
        0.75,
        "points farther than this from the median point are dropped, in object diameters (the paper has no gate)",
        unit="diameters",
        range=(0.1, 1000.0),
    )
    centred: bool = option(True, "subtract the median point from the cloud (the paper does not)")
    view_aligned: bool = option(
        True, "rotate the cloud so that the ray through its median is the z axis: what is seen fixes the rotation then"
    )
    unit: str = option(
        "diameter",
        "length unit of network input and output; diameters make objects of all sizes alike (paper: metre)",
        choices=("diameter", "metre"),
    )
    mask_background: bool = option(
        True, "blank the crop outside the (dilated) mask, so that rendered and real surroundings look the same"
    )
    normalization: str = option(
        "lite0",
        "colour scaling: (x - 127) / 128, ImageNet mean and std of x / 255, or of x itself as in the published code",
        choices=("lite0", "imagenet", "raw_imagenet"),
    )


@dataclass(frozen=True)
class PoseConfig:
    """Options of the pose stage of a model bundle."""

    encoder: str = option(
        "light",
        "the published network on its PSPNet-ResNet18, or a light one on EfficientNet-Lite0 that serves 2 cores and "
        "learns from far fewer samples (see `light_network`)",
        choices=("light", "pspnet_resnet18"),
    )
    crop: CropConfig = option(CropConfig(), "crops and point clouds of instances")
    hypotheses: int = option(
        4,
        "poses kept per instance for the depth check; the paper keeps the most confident one",
        range=(1, 64),
        runtime=True,
    )
    hypothesis_pool: int = option(
        48, "most confident points among which hypotheses are looked for", range=(1, 4096), runtime=True
    )
    hypothesis_angle: float = option(
        0.35,
        "rotation from which two poses are different hypotheses; ICP recovers from 20 degrees",
        unit="rad",
        range=(0.0, 3.2),
    )
    hypothesis_distance: float = option(
        0.15, "distance from which two poses are different hypotheses", unit="diameters", range=(0.0, 2.0)
    )
    refine_iterations: int = option(
        2, "passes of the refinement network (paper: 2; its LineMOD script runs 4)", range=(0, 16), runtime=True
    )
    refine_points: int = option(
        48,
        "points the refiner sees; the paper takes all 500, which is the dearest part of the stage on a CPU",
        range=(16, 4096),
    )
    accept: float = option(
        0.8,
        "pose confidence at which no further hypothesis is tried: most right poses reach it, hardly any wrong ones do",
        range=(0.0, 1.01),
        runtime=True,
    )
    icp: IcpConfig = option(IcpConfig(), "refining of hypotheses on the measured depth")
    verification: VerificationConfig = option(
        VerificationConfig(), "scoring of hypotheses by rendered depth and colour"
    )
    search: SearchConfig = option(SearchConfig(), "search over rotations where no hypothesis fits the frame")
    covariance: CovarianceConfig = option(CovarianceConfig(), "uncertainty of the chosen pose")

    def __post_init__(self) -> None:
        if self.encoder == "light" and self.crop.window != "square":
            raise ConfigError(
                f"crop: window = {self.crop.window!r} with encoder 'light', which takes square crops only; set "
                "window: square"
            )
