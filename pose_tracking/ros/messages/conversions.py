"""Tracked objects as ROS messages."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from builtin_interfaces.msg import Duration, Time
from geometry_msgs.msg import Pose, Transform, TransformStamped
from std_msgs.msg import Header

from pose_tracking.core.arrays import Float
from pose_tracking.core.events import ClipVerdict, Event, EventKind
from pose_tracking.core.geometry import make_transform, quaternion_xyzw, rotation_from_quaternion_xyzw
from pose_tracking.core.results import TrackedObject, TrackState
from pose_tracking.msg import TrackActivity, TrackedObjectArray, TrackEvent, TrackEventArray
from pose_tracking.msg import TrackedObject as TrackedObjectMsg

_SECONDS = (-(2**31), 2**31 - 1)  # what builtin_interfaces/Time and Duration hold


def to_time(stamp_ns: int) -> Time:
    """Stamp of nanoseconds; the nearest there is where a message cannot hold it."""
    seconds, nanoseconds = divmod(stamp_ns, 1_000_000_000)
    return Time(sec=min(max(seconds, _SECONDS[0]), _SECONDS[1]), nanosec=nanoseconds)


def to_duration(seconds: float) -> Duration:
    """Duration of seconds >= 0; the longest there is where a message cannot hold it."""
    ns = round(min(max(seconds, 0.0), float(_SECONDS[1])) * 1e9)
    return Duration(sec=ns // 1_000_000_000, nanosec=ns % 1_000_000_000)


def make_header(stamp_ns: int, frame_id: str) -> Header:
    """Header of a stamp in ns and a frame."""
    return Header(stamp=to_time(stamp_ns), frame_id=frame_id)


def fill_pose(message: Pose, pose: Float, quaternion: Float | None = None) -> None:
    """Write a (4, 4) pose into `message`; `quaternion` (x, y, z, w) is that of its rotation, where it is known."""
    position, orientation = message.position, message.orientation
    position.x, position.y, position.z = pose[:3, 3].tolist()
    quaternion = quaternion_xyzw(pose[:3, :3]) if quaternion is None else quaternion
    orientation.x, orientation.y, orientation.z, orientation.w = quaternion.tolist()


def to_pose(pose: Float) -> Pose:
    """Message of a (4, 4) pose."""
    message = Pose()
    fill_pose(message, pose)
    return message


def tracked_object(tracked: TrackedObject, quaternion: Float | None = None) -> TrackedObjectMsg:
    """One tracked object as a message; `quaternion`: see `fill_pose`."""
    message = TrackedObjectMsg()
    message.track_id = tracked.track_id
    message.obj_id = tracked.obj_id
    message.class_name = tracked.class_name
    message.state = int(tracked.state)
    message.has_pose = tracked.pose is not None
    if tracked.pose is not None:
        fill_pose(message.pose.pose, tracked.pose, quaternion)
        if tracked.covariance is not None:
            message.pose.covariance = np.ascontiguousarray(tracked.covariance, np.float64).ravel()
        if tracked.velocity is not None:
            linear, angular = message.velocity.twist.linear, message.velocity.twist.angular
            linear.x, linear.y, linear.z, angular.x, angular.y, angular.z = (float(v) for v in tracked.velocity)
    # What is not known is 0, as RViz and most readers cannot do with NaN.
    message.size.x, message.size.y, message.size.z = (float(v) for v in np.nan_to_num(tracked.size))
    if tracked.size_sigma is not None:
        sigma = message.size_sigma
        sigma.x, sigma.y, sigma.z = (float(v) for v in np.nan_to_num(tracked.size_sigma))
    message.detection_score = float(tracked.score)
    message.pose_confidence = float(tracked.pose_confidence)
    message.box = np.asarray(tracked.box, np.float32)
    message.visibility = -1.0
    message.age_frames = tracked.age_frames
    message.age = to_duration(tracked.age_seconds)
    message.hits = tracked.hits
    message.since_seen = to_duration(tracked.seconds_since_seen)
    return message


def tracked_object_array(
    header: Header, objects: Sequence[TrackedObject], processing_time: float
) -> TrackedObjectArray:
    """All tracks of a frame as the message of ``~/objects``."""
    message = TrackedObjectArray(header=header, processing_time=float(processing_time))
    # One call for all of them, as each takes as long.
    with_pose = [(i, thing.pose) for i, thing in enumerate(objects) if thing.pose is not None]
    quaternions = quaternion_xyzw(np.reshape([pose[:3, :3] for _, pose in with_pose], (-1, 3, 3)))
    known = {i: quaternion for (i, _), quaternion in zip(with_pose, quaternions, strict=True)}
    message.objects = [tracked_object(thing, known.get(i)) for i, thing in enumerate(objects)]
    return message


def from_tracked_object(message: TrackedObjectMsg) -> TrackedObject:
    """The tracked object a message of ``~/objects`` tells of."""
    pose = covariance = velocity = None
    if message.has_pose:
        p, q = message.pose.pose.position, message.pose.pose.orientation
        pose = make_transform(rotation_from_quaternion_xyzw([q.x, q.y, q.z, q.w]), [p.x, p.y, p.z])
        covariance = np.asarray(message.pose.covariance, float).reshape(6, 6)
        v, w = message.velocity.twist.linear, message.velocity.twist.angular
        velocity = np.array([v.x, v.y, v.z, w.x, w.y, w.z])
    since = message.since_seen.sec + message.since_seen.nanosec * 1e-9
    state = TrackState(message.state)
    sigma = np.array([message.size_sigma.x, message.size_sigma.y, message.size_sigma.z])
    return TrackedObject(
        track_id=message.track_id,
        obj_id=message.obj_id,
        class_name=message.class_name,
        state=state,
        pose=pose,
        covariance=covariance,
        velocity=velocity,
        size=np.array([message.size.x, message.size.y, message.size.z]),
        score=message.detection_score,
        pose_confidence=message.pose_confidence,
        box=np.array(message.box, float),
        age_frames=message.age_frames,
        age_seconds=message.age.sec + message.age.nanosec * 1e-9,
        frames_since_seen=0 if since == 0 and state != TrackState.COASTING else 1,
        seconds_since_seen=since,
        hits=message.hits,
        size_sigma=sigma if sigma.any() else None,
    )


def track_event_array(
    header: Header,
    events: Sequence[Event],
    objects: Sequence[TrackedObject],
    since: Mapping[int, int],
    clips: Mapping[int, ClipVerdict] | None = None,
) -> TrackEventArray:
    """The message of ``~/events``.

    Args:
        header: of the frame.
        events: what has become certain with it.
        objects: all tracks after it.
        since: by track ID, stamp (ns) since which each object does what its `activity` says; the others are left out.
        clips: by track ID, what a network beside the rules now says and did not say before.
    """
    message = TrackEventArray(header=header, events=[track_event(event) for event in events])
    message.events += [
        clip_event(thing, clips[thing.track_id]) for thing in objects if clips and thing.track_id in clips
    ]
    message.activities = [
        TrackActivity(track_id=each.track_id, activity=int(each.activity), since=to_time(since[each.track_id]))
        for each in objects
        if each.track_id in since
    ]
    return message


def track_event(event: Event) -> TrackEvent:
    """One event as a message."""
    return TrackEvent(
        kind=event.kind.value,
        track_id=event.identity,
        obj_id=event.obj_id,
        class_name=event.class_name,
        onset=to_time(event.onset_ns),
        end=to_time(event.end_ns),
        confidence=float(event.confidence),
        note=event.note,
    )


def from_track_event(message: TrackEvent) -> Event:
    """The event that a message tells of.

    Raises:
        ValueError: it is of a kind that is none.
    """
    onset, end = (moment.sec * 1_000_000_000 + moment.nanosec for moment in (message.onset, message.end))
    return Event(
        EventKind(message.kind), message.track_id, message.obj_id, message.class_name, onset, end,
        message.confidence, message.note,
    )  # fmt: skip


def clip_event(thing: TrackedObject, said: ClipVerdict) -> TrackEvent:
    """What a network says of a track; its kind begins with ``clip:`` or ``keypoints:``, as no rule's does."""
    return TrackEvent(
        kind=f"{said.source}:{said.label}",
        track_id=thing.track_id,
        obj_id=thing.obj_id,
        class_name=thing.class_name,
        onset=to_time(said.onset_ns),
        end=to_time(said.end_ns),
        confidence=float(said.probability),
        note=said.note,
    )


def is_verdict(message: TrackEvent) -> bool:
    """Whether a message says what a network thinks of a track (see `clip_event`) rather than what happened to it."""
    return ":" in message.kind


def transforms(header: Header, objects: Sequence[TrackedObject]) -> list[TransformStamped]:
    """TF ``<class>_<id>`` of the confirmed objects seen in this frame: TF cannot say that a pose is only predicted."""
    stamped = []
    for tracked in objects:
        if tracked.state != TrackState.CONFIRMED or tracked.pose is None:
            continue
        transform = Transform()
        x, y, z = (float(v) for v in tracked.pose[:3, 3])
        transform.translation.x, transform.translation.y, transform.translation.z = x, y, z
        rotation = transform.rotation
        rotation.x, rotation.y, rotation.z, rotation.w = (float(v) for v in quaternion_xyzw(tracked.pose[:3, :3]))
        child = f"{tracked.class_name}_{tracked.track_id}"
        stamped.append(TransformStamped(header=header, child_frame_id=child, transform=transform))
    return stamped
