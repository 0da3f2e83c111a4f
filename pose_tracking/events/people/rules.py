"""What a person does, from its keypoints over the last second or so: falling, running, walking, standing.

The camera is taken to be upright and to stand still. Lengths are measured in the trunk of the person, so that they need
no depth; who walks towards the camera is told by its feet.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

import numpy as np

from pose_tracking.core.arrays import Float

from .config import PeopleConfig
from .keypoints import ANKLES, HIPS, SHOULDERS, Keypoints

_KEPT = 2.0  # seconds
_SPAN = 1.2  # seconds of which speed and swing are taken
_LEAST = 0.6  # seconds of them that there must be
_FEWEST = 4  # looks in that time
_GAP = 0.45  # seconds without a look after which all begins anew
_HELD = 1.0  # seconds for which a fall is told after it
_STRAIGHT = 0.6  # of the tilt that is upright, at which a fall begins: who bends down slowly is past it for long
_SEEN = 0.5  # probability from which a keypoint is believed


@dataclass(frozen=True, eq=False)
class _Look:
    seconds: float
    hips: Float
    shoulders: Float
    trunk: float  # pixels
    tilt: float  # degrees from the vertical
    feet: float | None  # left foot above the right one, and beside it, in trunk lengths, summed


@dataclass(eq=False)
class PersonStory:
    """One person over time."""

    _looks: deque[_Look] = field(default_factory=deque)
    _trunk: float = 0.0
    _fell: float = -np.inf

    def see(self, seconds: float, found: Keypoints) -> None:
        """Take in the keypoints of a picture; without hips and shoulders it says nothing."""
        visible = found.visible
        if min(visible[[*HIPS, *SHOULDERS]]) < _SEEN:
            return
        if self._looks and not 0 < seconds - self._looks[-1].seconds <= _GAP:
            self.forget()
        hips, shoulders = found.points[list(HIPS)].mean(0), found.points[list(SHOULDERS)].mean(0)
        up = hips - shoulders
        length = float(np.linalg.norm(up))
        # Seen from the front or lying along the line of sight a trunk is short: its length is that of late, not of now.
        self._trunk = max(length, 0.98 * self._trunk) if self._trunk else length
        if self._trunk < 8:
            return
        feet = None
        if min(visible[list(ANKLES)]) >= _SEEN:
            between = (found.points[ANKLES[0]] - found.points[ANKLES[1]]) / self._trunk
            feet = float(between[0] + between[1])
        tilt = float(np.degrees(np.arctan2(abs(up[0]), up[1])))
        self._looks.append(_Look(seconds, hips, shoulders, self._trunk, tilt, feet))
        while seconds - self._looks[0].seconds > _KEPT:
            self._looks.popleft()

    def forget(self) -> None:
        """It was out of sight: what was before says nothing of now."""
        self._looks.clear()
        self._trunk, self._fell = 0.0, -np.inf

    def doing(self, seconds: float, config: PeopleConfig) -> tuple[str | None, float, str]:
        """What it does at a time; how sure that is, 0 to 1; and, where the first is None, why that is not known."""
        looks = [each for each in self._looks if seconds - each.seconds <= _SPAN]
        if not looks or seconds - looks[-1].seconds > _GAP:
            return None, 0.0, "not seen"
        now = looks[-1]
        if self._has_fallen(now, config):
            self._fell = now.seconds
        if now.seconds - self._fell <= _HELD:
            return "falling", min(1.0, now.tilt / 90), ""
        if now.seconds - looks[0].seconds < _LEAST or len(looks) < _FEWEST:
            return None, 0.0, "seen for too short a time, or at too low a rate"
        if now.tilt > config.lying:
            return None, 0.0, "lies"
        speed, swing = _speed(looks), _swing(looks)
        if speed >= config.running_speed:
            return "running", _surely(speed, config.running_speed), ""
        if speed >= config.walking_speed:
            return "walking", min(_surely(speed, config.walking_speed), 1 - speed / config.running_speed / 2), ""
        if swing is not None and swing >= config.swing:
            return "walking", _surely(swing, config.swing), ""
        if now.tilt > config.upright:
            return None, 0.0, "neither upright nor lying"
        return "standing", 1 - speed / config.walking_speed / 2, ""

    def _has_fallen(self, now: _Look, config: PeopleConfig) -> bool:
        """Whether it lies, was upright shortly before, and has come down in between."""
        if now.tilt < config.lying:
            return False
        for before in self._looks:
            if now.seconds - before.seconds > config.fall_seconds or before.tilt > _STRAIGHT * config.upright:
                continue
            if (now.shoulders[1] - before.shoulders[1]) / before.trunk >= config.drop:
                return True
        return False


def _speed(looks: list[_Look]) -> float:
    """Trunk lengths a second, by a line through the places of the hips."""
    times = np.array([each.seconds for each in looks])
    places = np.array([each.hips for each in looks])
    slope = np.polyfit(times - times.mean(), places, 1)[0]
    return float(np.linalg.norm(slope)) / float(np.median([each.trunk for each in looks]))


def _swing(looks: list[_Look]) -> float | None:
    """Standard deviation of the feet against each other, in trunk lengths; None where they are hidden."""
    feet = [each.feet for each in looks if each.feet is not None]
    return float(np.std(feet)) if len(feet) >= _FEWEST else None


def _surely(value: float, limit: float) -> float:
    """0.5 at a limit, near 1 at twice of it."""
    return float(np.clip(1 - 0.5 * np.exp(-2 * (value / limit - 1)), 0, 1))
