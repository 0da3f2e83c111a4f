"""Options of the pipeline that belong to no single stage."""

from __future__ import annotations

from dataclasses import dataclass

from pose_tracking.core.config import option
from pose_tracking.events.config import EventConfig
from pose_tracking.pose.depth_tracking_config import DepthTrackingConfig

AUTO = 0  # of `segment_every`


@dataclass(frozen=True)
class PipelineConfig:
    """What a detection must pass before it is tracked, and what is done where there is none."""

    min_pose_confidence: float = option(
        0.3,
        "detections whose pose confidence is lower are dropped and counted; only where the bundle has meshes, since "
        "the network's own confidence does not tell an absent object from a present one (DenseFusion #76)",
        range=(0.0, 1.0),
        runtime=True,
    )
    begin_confidence: float = option(
        0.5,
        "pose confidence from which a detection may begin a track; those between min_pose_confidence and it only "
        "continue tracks, which say that there is something (as the second threshold of ByteTrack). A calibrated "
        "confidence is a probability: below 0.5 it is more likely that nothing is there",
        range=(0.0, 1.0),
        runtime=True,
    )
    begin_repeated: bool = option(
        True,
        "whether a detection below begin_confidence begins a track, too, where frames shortly before have come to the "
        "same pose and all of them together are as sure: 1 - (1 - c1)(1 - c2)...; what is half hidden is often found "
        "right and never surely",
        runtime=True,
    )
    min_unchecked_score: float = option(
        0.5,
        "detections of a lower detector score are dropped where no mesh lets the frame check their pose; with meshes "
        "the detector's own threshold may be far lower",
        range=(0.0, 1.0),
        runtime=True,
    )
    min_colorless_score: float = option(
        0.5,
        "the same for objects whose meshes have no colour: the frame checks their pose by shape alone, and something "
        "of about that size passes more often, above all far away, where depth is coarse",
        range=(0.0, 1.0),
        runtime=True,
    )
    keep_without_pose: bool = option(
        False, "track detections whose depth is too sparse for a pose; such a track has none yet", runtime=True
    )
    segment_every: int = option(
        1,
        "the detector runs on every n-th frame; between them poses are tracked on the depth, from where their "
        "tracks predict them (without meshes: are predicted only, since nothing could tell a track that is lost). It "
        "runs early where a track has just begun or been lost, or an unsure pose may begin one, and on every frame "
        "while there is no track. 0, or the word auto: as often as there is time before the camera's next frames, and "
        "once a second at least",
        unit="frames",
        range=(0, 1000),
        runtime=True,
        words={"auto": AUTO},
    )
    detector_thread: bool = option(
        False,
        "run the detector and the pose stage on their frame in a thread beside the frames that follow, which are "
        "tracked on the depth meanwhile; its detections are found again in the frame with which they are joined in. No "
        "frame then waits for the detector. In line as ever where nothing is confirmed yet, without depth, and where "
        "an object has no mesh",
        runtime=True,
    )
    detector_delay: int = option(
        0,
        "with detector_thread: its detections are joined in so many frames after theirs, waited for if need be, so "
        "that a recording gives the same results each time; 0: with the first frame that comes once they are there",
        unit="frames",
        range=(0, 100),
        runtime=True,
    )
    network_every: int = option(
        5,
        "the pose network looks at each tracked object on every n-th frame of the detector at least, and where its "
        "pose confidence has fallen; on the others its pose is found from where the track expects it. Detections "
        "that came to nothing are looked at again after n frames of the camera. 1: every detection on every frame; "
        "only where there are meshes",
        unit="frames",
        range=(1, 1000),
        runtime=True,
    )
    recover_missed: bool = option(
        True,
        "look for a track that no detection continued at its predicted pose; only where there are meshes",
        runtime=True,
        formerly="carry_missed",
    )
    recovery_confidence: float = option(
        0.2,
        "pose confidence from which a recovered pose is believed: of right ones 1.5 % fall short of it, what is not "
        "there scores near 0, only a look-alike may reach it",
        range=(0.0, 1.0),
        runtime=True,
        formerly="carry_confidence",
    )
    clear_view: float = option(
        0.5,
        "share of an object's silhouette whose depth must agree, away from the edge of the picture, for the detector's "
        "not finding a recovered track to speak against its existence (`tracking.denial_evidence`)",
        range=(0.0, 1.0),
    )
    camera_odometry: bool = option(
        True,
        "measure the motion of a camera whose pose is not given, by corners in its picture and the depth outside the "
        "tracked objects, and take it out of their motion once it is seen to jerk, as one does that is held by hand; "
        "it takes about 5 ms a frame until then, 9 from then on",
        runtime=True,
    )
    fill_holes_from: float = option(
        0.45,
        "share of single pixels without depth, scattered over the image, from which they are filled with the nearest "
        "reading; 1: never. Real sensors without this fault have 0.01, a sparse depth image warped to a larger colour "
        "image up to 0.42",
        range=(0.0, 1.0),
    )
    depth_tracking: DepthTrackingConfig = option(
        DepthTrackingConfig(), "how a pose is tracked on the depth", formerly="carrying"
    )
    events: EventConfig = option(EventConfig(), "what is told of the tracked objects")
