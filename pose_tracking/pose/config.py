"""Options of the pose stage and of all its parts; they import this module, and it imports none of them."""

from __future__ import annotations

from dataclasses import dataclass

from pose_tracking.core.config import option
from pose_tracking.core.depth_noise import DepthNoiseConfig
from pose_tracking.core.errors import ConfigError

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
        1.15,
        "side of the crop over the longer side of the box; more than 1, because boxes may be too tight",
        range=(1.0, 3.0),
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
        True, "blank the crop outside the (dilated) mask, so that rendered and real surroundings are the same"
    )
    normalization: str = option(
        "lite0",
        "colour scaling: (x - 127) / 128, ImageNet mean and std of x / 255, or of x itself as in the published code",
        choices=("lite0", "imagenet", "raw_imagenet"),
    )


@dataclass(frozen=True)
class SearchConfig:
    """Search over rotations where no hypothesis of the network fits the frame."""

    enabled: bool = option(True, "search where the best hypothesis fits badly and meshes are at hand", runtime=True)
    below: float = option(
        0.6, "search where the best hypothesis has a lower confidence than this", range=(0.0, 1.0), runtime=True
    )
    min_score: float = option(
        0.35,
        "detections of a lower detector score get two hypotheses checked and no search: the many unlikely ones "
        "would take all the time",
        range=(0.0, 1.0),
        runtime=True,
    )
    every: int = option(
        3,
        "a search that has found nothing that fits is run again only so many frames later where the object is still "
        "detected there, no surer than it was; 1: in every frame",
        range=(1, 10000),
        runtime=True,
    )
    per_frame: int = option(0, "most searches where one is tracked, others wait a frame; 0: no limit", range=(0, 1000))
    rotations: int = option(240, "rotations tried per object, spread evenly over SO(3)", range=(24, 5000))
    keep: int = option(4, "rotations handed to ICP and the depth check", range=(1, 64), runtime=True)
    template_points: int = option(96, "points of an object as seen in each rotation", range=(16, 1000))
    points: int = option(64, "measured points compared with them", range=(16, 1000))
    aligned: int = option(60, "rotations aligned to the measured points before the last ranking", range=(1, 5000))
    alignments: int = option(5, "alignment steps of those", range=(0, 50))
    max_distance: float = option(
        0.15, "distances count no more than this in the ranking", unit="diameters", range=(0.01, 1.0)
    )
    reverse_weight: float = option(
        1.0,
        "weight of template points the frame contradicts, against measured points the template leaves unexplained",
        range=(0.0, 10.0),
    )
    min_angle: float = option(0.35, "rotations kept differ by more than this", unit="rad", range=(0.0, 3.2))


@dataclass(frozen=True)
class IcpConfig:
    """How poses are refined against the measured points."""

    enabled: bool = option(True, "refine poses by ICP where the object set has meshes", runtime=True)
    points: int = option(400, "measured points an ICP uses", range=(20, 5000))
    model_points: int = option(2000, "surface samples per object", range=(100, 50000))
    max_distances: tuple[float, ...] = option(
        (0.2, 0.08, 0.04),
        "largest distance of corresponding points in each stage, as a share of the object's diameter",
        range=(0.001, 2.0),
    )
    final_distances: tuple[float, ...] = option(
        (0.1, 0.05),
        "the same for the last ICP of the chosen pose; narrower ones follow the bias of real depth at the outline",
        range=(0.001, 2.0),
    )
    iterations: int = option(12, "iterations per stage", range=(1, 200))
    min_distance: float = option(
        0.004,
        "the largest distance never shrinks below this, so that sensor noise fits in",
        unit="m",
        range=(1e-4, 0.1),
    )
    min_points: int = option(20, "fewer measured points than this give no pose at all", range=(6, 5000))
    cut_radius: float = option(
        0.75,
        "points farther than this share of the diameter from the median of the cloud are not the object's",
        range=(0.5, 5.0),
    )


@dataclass(frozen=True)
class VerificationConfig:
    """How hypotheses are compared with the frame."""

    max_rays: int = option(500, "rays cast per hypothesis", range=(50, 100000))
    noise_sigmas: float = option(
        3.0, "depth difference in standard deviations of the sensor that still agrees", range=(0.5, 20.0)
    )
    shape_tolerance: float = option(
        0.025, "depth difference as a share of the diameter that still agrees (mesh and pose errors)", range=(0.0, 0.5)
    )
    max_blind: float = option(
        0.7,
        "share of what nothing hides of a pose, without any depth reading, from which the pose is not believed at all: "
        "the few readings at its rim fit many things",
        range=(0.0, 1.0),
    )
    max_continued: float = option(
        0.5,
        "share of a pose's outline beyond which the measured surface goes on as the object's would, from which the "
        "pose is not believed at all: its flat side lies on something larger",
        range=(0.0, 1.0),
    )
    continued_weight: float = option(
        0.0,
        "weight, in the logistic score, of the share of a pose's outline beyond which the surface goes on, as far as "
        "it is more than the 0.1 that is usual of right poses; calibration leaves it as it is",
        range=(0.0, 100.0),
    )
    cut_weight: float = option(
        0.0,
        "weight, in the logistic score, of the share of an object that lies beyond the edge of the picture: what is "
        "left of it fits more things; calibration leaves it as it is",
        range=(0.0, 100.0),
    )
    # Fitted with `calibration.fit_calibration` on the hypotheses of both bundles for simulated sequences, on those for
    # nine detections of a real frame, and on false detections on a real shelf. The weights of the pattern and of what
    # is sunk were held at -12: real light and sensors are less alike to the model than renders are.
    # `pose-tracking calibrate` fits them to a bundle's own networks. Their order is that of `scoring.FEATURES`.
    bias: float = option(-8.2, "constant of the logistic score", range=(-100.0, 100.0))
    weights: tuple[float, ...] = option(
        (6.5, -12.9, -12.0, 3.4, -3.1, 1.4, -2.8, -2.0, -2.0, -12.0, -2.0, 0.5),
        "weights of the features in the logistic score",
        range=(-100.0, 100.0),
    )


@dataclass(frozen=True)
class CovarianceConfig:
    """What the residuals do not tell about the uncertainty."""

    correlation_px: float = option(
        3.0,
        "pixels nearer than this share their depth error: so many fewer measurements count (Kinect smooths)",
        unit="px",
        range=(1.0, 50.0),
    )
    systematic: float = option(
        0.0003,
        "standard deviation from frame to frame that no number of points averages out: sampling and pixel grid",
        unit="m",
        range=(0.0, 0.1),
    )
    doubt: float = option(
        3.0,
        "how much the covariance grows with the odds against the pose, (1 - confidence) / confidence",
        range=(0.0, 100.0),
    )
    network_position: float = option(
        0.05, "standard deviation of a position of the network alone, in diameters", unit="diameters", range=(0.0, 2.0)
    )
    network_rotation: float = option(
        0.2, "standard deviation of a rotation of the network alone", unit="rad", range=(0.0, 3.2)
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
    proposed_by: str = option(
        "networks",
        "what proposes poses: the trained networks, or templates rendered from the meshes",
        choices=("networks", "templates"),
    )
    templates: int = option(24, "templates of an instance that are aligned, where templates propose", range=(1, 1000))
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
    refine_from: float = option(
        0.0,
        "pose confidence before ICP from which a hypothesis is refined; below it neither it nor those after it of its "
        "instance are, which costs few right poses where hypotheses are aligned already and most instances are "
        "nothing. 0: all are refined",
        range=(0.0, 1.0),
        runtime=True,
    )
    time_budget: float = option(
        0.0,
        "time of the pose stage in a frame after which no further poses are tried where none convinces yet; what is "
        "left is tried in the next frames, at least one pose in each. 0: no limit",
        unit="ms",
        range=(0.0, 60000.0),
        runtime=True,
    )
    estimate_scale: bool = option(
        False,
        "whether the real objects may be 0.7 to 1.4 times as large as their meshes: the scale of each is estimated and "
        "learned by its track. It takes about five times the time of the stage where something new is seen, twice "
        "where it is tracked",
    )
    icp: IcpConfig = option(IcpConfig(), "refining of hypotheses on the measured depth")
    verification: VerificationConfig = option(
        VerificationConfig(), "scoring of hypotheses by rendered depth and colour"
    )
    search: SearchConfig = option(SearchConfig(), "search over rotations where no hypothesis fits the frame")
    covariance: CovarianceConfig = option(CovarianceConfig(), "uncertainty of the chosen pose")
    depth_noise: DepthNoiseConfig = option(
        DepthNoiseConfig(), "noise of the depth sensor: what agrees, how far ICP reaches and how sure a pose is"
    )

    def __post_init__(self) -> None:
        if self.encoder == "light" and self.crop.window != "square":
            raise ConfigError(
                f"crop: window = {self.crop.window!r} with encoder 'light', which takes square crops only; set "
                "window: square"
            )
