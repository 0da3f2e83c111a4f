"""Options of the tracker."""

from __future__ import annotations

from dataclasses import dataclass

from pose_tracking.core.config import option

MOTIONS = ("box", "pose", "both")


@dataclass(frozen=True)
class TrackingConfig:
    """Deep SORT (Wojke et al. 2017, arXiv:1703.07402) and the pose filter. Defaults are those of its public code
    unless their help says otherwise.
    """

    motion: str = option(
        "pose",
        "what the motion term compares: boxes in the image (Deep SORT), 6D poses, or both. Pairs that lack a pose are "
        "compared by their boxes; where nothing of a class has one, all is as with box",
        choices=MOTIONS,
        runtime=True,
    )
    motion_weight: float = option(
        0.25,
        "lambda: share of the motion term in the association cost, 0 = appearance only, 1 = motion only; both are "
        "scaled to 0..1 at their gates. The public Deep SORT code has no lambda, which is 0 here",
        range=(0.0, 1.0),
        runtime=True,
    )
    motion_gate: float = option(
        9.4877, "squared Mahalanobis distance beyond which a pair is impossible (chi-square, 4 dof, 95 %)",
        range=(0.1, 1000.0),
    )  # fmt: skip
    appearance_gate: float = option(0.2, "cosine distance beyond which a pair is impossible", range=(1e-3, 2.0))
    embedding_gate: float = option(
        0.6,
        "takes the place of appearance_gate where the bundle has a trained embedding, whose distances are larger; "
        "`train appearance` writes the one that fits",
        range=(1e-3, 2.0),
    )
    iou_gate: float = option(0.7, "largest 1 - IoU of a match in the IoU stage", range=(0.0, 1.0))
    by_place: bool = option(
        True,
        "with box motion, a confirmed track that nothing alike continues takes what is where it is expected, also when "
        "it was not seen in the frame before. Deep SORT matches it by IoU together with tentative tracks, and only if "
        "it was: what is hidden for a moment and comes back half seen is lost there",
    )
    by_place_gate: float = option(
        18.47,
        "squared Mahalanobis distance of boxes up to which something is where it is expected (chi-square, 4 dof, 99.9 "
        "%; the 95 % of motion_gate lose every 20th right pair)",
        range=(0.1, 1000.0),
    )
    by_place_iou_gate: float = option(
        0.85, "the same as the largest 1 - IoU with the expected box; either will do", range=(0.01, 1.0)
    )
    sudden_acceleration: float = option(
        12.0,
        "the only missing track of a class takes the only new detection of it where this acceleration can have brought "
        "it since it was last seen (gravity, and a little): what falls gets out of all gates within a frame. Only "
        "tracks that were not found on the depth either; at most 0.5 s unseen; 0: never",
        unit="m/s^2",
        range=(0.0, 1000.0),
    )
    n_init: int = option(
        2,
        "detections until a track is confirmed, recovered poses not counted; Deep SORT has 3, but two false ones "
        "hardly ever agree in six degrees of freedom",
        unit="frames",
        range=(1, 100),
    )
    denial_evidence: float = option(
        0.4,
        "log-odds of a track's existence that a look of the detector takes away which misses it where the depth shows "
        "it in clear view (`pipeline.clear_view`); each detection adds the log-odds of its pose confidence, but at "
        "least this much. At 0 the track is dropped: one detected once at a confidence of 0.5 after one such look, at "
        "0.9 after six",
        range=(1e-3, 100.0),
    )
    most_evidence: float = option(
        20.0,
        "log-odds beyond which further detections count for nothing: over denial_evidence, the looks in a row that a "
        "track of a long past outlives",
        range=(1e-3, 1e6),
    )
    max_age: int = option(30, "processed frames a confirmed track outlives unmatched", unit="frames", range=(1, 10000))
    max_age_seconds: float = option(
        5.0,
        "time a confirmed track outlives unmatched; ours: at 2 frames a second 30 frames would be 15 s. After a pause "
        "of the stream longer than this no track goes on: what stood there may be another. A pause is more than 3.5 "
        "usual intervals between frames, so that a slow stream, whose every interval may be longer, keeps its tracks; "
        "more than a minute is a pause of any stream",
        unit="s",
        range=(0.0, 3600.0),
    )
    gallery_budget: int = option(100, "newest appearance features kept per track", range=(1, 10000))
    nominal_rate: float = option(
        30.0,
        "frame rate at which one time step of the box filter equals the public code's; slower frames widen its gate",
        unit="Hz",
        range=(0.1, 1000.0),
    )
    acceleration_noise: float = option(
        0.005, "standard deviation of the acceleration of steady motion that the pose filter expects", unit="m/s^2",
        range=(1e-4, 100.0),
    )  # fmt: skip
    angular_acceleration_noise: float = option(0.05, "the same for rotation", unit="rad/s^2", range=(1e-4, 1000.0))
    velocity_change: float = option(
        0.2, "standard deviation of a sudden change of velocity: an object starts, stops or turns", unit="m/s",
        range=(0.0, 100.0),
    )  # fmt: skip
    angular_velocity_change: float = option(1.0, "the same for rotation", unit="rad/s", range=(0.0, 1000.0))
    velocity_change_seconds: float = option(
        0.7,
        "the uncertain way of an object that is not seen grows with its time t as t / (1 + t / this)",
        unit="s",
        range=(0.01, 1000.0),
    )
    pose_gate: float = option(
        22.46,
        "squared Mahalanobis distance beyond which a measured pose is another object's or an outlier (chi-square, 6 "
        "dof, 99.9 %; the 95 % of Deep SORT would lose every 20th right pair)",
        range=(1.0, 1e6),
    )
    position_gate: float = option(
        16.27,
        "the same for the position alone (3 dof): a rotation may be wrong altogether where the position fits",
        range=(1.0, 1e6),
    )
    pose_max_outliers: int = option(
        2, "outliers in a row after which the pose filter starts again from the measurement", range=(1, 1000)
    )
    reid_budget: int = option(
        100,
        "lost tracks remembered, for objects that come back after a long time; 0: none",
        range=(0, 100000),
        formerly="lost_budget",
    )
    reid_seconds: float = option(
        60.0, "time a lost track is remembered", unit="s", range=(0.0, 86400.0), formerly="lost_seconds"
    )
    reid_gate: float = option(
        0.5,
        "cosine distance within which the only one of its class is re-identified; wide, because what comes back is cut "
        "by the edge of the picture",
        range=(1e-3, 2.0),
        formerly="lost_gate",
    )
    copies_differ: bool = option(
        False,
        "whether appearance tells copies of one object apart, so that a lost one is re-identified among others; on "
        "where the bundle has a trained embedding",
    )
    out_of_view_seconds: float = option(
        0.5, "a track that moved out of the picture is lost after this time", unit="s", range=(0.0, 3600.0)
    )

    @classmethod
    def deep_sort(cls) -> TrackingConfig:
        """The settings with which the tracker gives the IDs of the public Deep SORT code (nwojke/deep_sort)."""
        return cls(
            motion_weight=0.0,
            motion="box",
            by_place=False,
            sudden_acceleration=0.0,
            n_init=3,
            max_age=30,
            max_age_seconds=3600.0,
            reid_budget=0,
        )
