"""Keypoints of the simulated person, as a camera that looks on from the side or the front would see them."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from pose_tracking.events.people.config import PeopleConfig
from pose_tracking.events.people.keypoints import ANKLES, HIPS, KNEES, SHOULDERS, Keypoints
from pose_tracking.events.people.rules import PersonStory
from pose_tracking.simulation.clips.body import Person, Posture

FOCAL, DISTANCE = 570.0, 6.0
_FIRST_OF_SIDE, _PER_SIDE = 2, 5  # trunk and head, then five limbs a side
_JOINTS = {"upper_arm": (0, SHOULDERS), "thigh": (2, HIPS), "shin": (3, KNEES), "foot": (4, ANKLES)}


def keypoints(person: Person, posture: Posture, azimuth: float, rng: np.random.Generator) -> Keypoints:
    """Keypoints, off by a pixel and a half, seen from a direction (rad) at the height of the hips."""
    bodies = person.bodies(posture)
    points = np.full((33, 2), np.nan)
    away = np.array([np.cos(azimuth), np.sin(azimuth), 0.0])
    right = np.array([-away[1], away[0], 0.0])
    for name, (place, numbers) in _JOINTS.items():
        for side, number in enumerate(numbers):
            body = bodies[_FIRST_OF_SIDE + side * _PER_SIDE + place]
            joint = (body.pose @ np.append(-person._limbs[name].middle, 1.0))[:3]
            depth = DISTANCE - joint @ away
            points[number] = FOCAL * np.array([joint @ right, 1.0 - joint[2]]) / depth
    return Keypoints(points + rng.normal(0, 1.5, points.shape), np.where(np.isnan(points[:, 0]), 0.0, 0.9), 0.95)


def told(
    motion: Callable[[float], Posture],
    person: Person,
    times: np.ndarray,
    azimuth: float = 0.0,
    unseen: Callable[[float], bool] = lambda t: False,
) -> list[str | None]:
    """What the rules say at each time."""
    rng, story, out = np.random.default_rng(7), PersonStory(), []
    middle = np.array(motion(float(times[len(times) // 2])).place)
    for seconds in times:
        posture = motion(float(seconds))
        place = np.array(posture.place) - middle
        if not unseen(float(seconds)):
            moved = Posture(**{**posture.__dict__, "place": (float(place[0]), float(place[1]))})
            story.see(float(seconds), keypoints(person, moved, azimuth, rng))
        out.append(story.doing(float(seconds), PeopleConfig())[0])
    return out
