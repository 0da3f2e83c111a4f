"""How a simulated person stands, walks, runs and falls: postures over time, drawn from ranges of healthy adults."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from pose_tracking.core.arrays import Float

from .body import Posture

Motion = Callable[[float], Posture]
G = 9.81


def standing(rng: np.random.Generator, height: float) -> Motion:
    """Stands and sways; arms and head do something slow, one in five bows."""
    heading, rate = rng.uniform(-np.pi, np.pi), rng.uniform(0.15, 0.5)
    raised, bent = rng.uniform(0, 1.6, 2) * (rng.random(2) < 0.5), rng.uniform(0.1, 1.8, 2)
    spread, phase = rng.uniform(0.05, 0.5, 2), rng.uniform(0, 2 * np.pi, 4)
    bow = rng.uniform(0.4, 1.0) if rng.random() < 0.2 else 0.05
    stance = rng.uniform(-0.15, 0.15)

    def at(seconds: float) -> Posture:
        waves = np.sin(2 * np.pi * rate * seconds + phase)
        shoulders = raised * (0.7 + 0.3 * waves[:2])
        return Posture(
            heading=heading + 0.1 * waves[2],
            lean=bow * (0.5 + 0.5 * waves[3]),
            hips=(stance, -stance),
            shoulders=(float(shoulders[0]), float(shoulders[1])),
            elbows=(float(bent[0]), float(bent[1])),
            abduction=(float(spread[0]), float(spread[1])),
        )

    return at


def walking(rng: np.random.Generator, height: float) -> Motion:
    """Walks straight on at 0.8 to 1.9 m/s."""
    swing, strides = rng.uniform(0.3, 0.5), rng.uniform(0.75, 1.05)
    return _gait(rng, height, swing, strides, knee=rng.uniform(0.8, 1.1), arms=rng.uniform(0.2, 0.6))


def running(rng: np.random.Generator, height: float) -> Motion:
    """Runs straight on at 2.2 to 5 m/s, both feet off the ground between two steps."""
    swing, strides = rng.uniform(0.55, 0.8), rng.uniform(1.25, 1.6)
    return _gait(
        rng,
        height,
        swing,
        strides,
        knee=rng.uniform(1.4, 1.9),
        arms=rng.uniform(0.5, 1.0),
        elbow=rng.uniform(1.2, 1.7),
        lean=rng.uniform(0.08, 0.28),
        flight=rng.uniform(0.04, 0.09),
        reach=rng.uniform(1.05, 1.45),
    )


def _gait(
    rng: np.random.Generator,
    height: float,
    swing: float,
    strides: float,
    knee: float,
    arms: float,
    elbow: float = 0.3,
    lean: float = 0.05,
    flight: float = 0.0,
    reach: float = 1.0,
) -> Motion:
    """A gait whose legs swing by `swing` (rad) so many `strides` a second; `reach` is the way over that of the legs."""
    heading, phase = rng.uniform(-np.pi, np.pi), rng.uniform(0, 2 * np.pi)
    step = 2 * 0.53 * height * np.sin(swing) * reach
    speed = 2 * step * strides
    ahead = np.array([np.cos(heading), np.sin(heading)])
    spread = float(rng.uniform(0.05, 0.3))

    def at(seconds: float) -> Posture:
        turn = 2 * np.pi * strides * seconds + phase
        left, right = np.sin(turn), -np.sin(turn)
        # A knee bends while its leg swings forward.
        forward = np.maximum(np.array([np.cos(turn), -np.cos(turn)]), 0) ** 1.5
        knees = 0.12 + knee * forward
        place = ahead * speed * seconds
        return Posture(
            place=(float(place[0]), float(place[1])),
            heading=heading,
            lean=lean,
            hips=(float(swing * left + 0.3 * swing), float(swing * right + 0.3 * swing)),
            knees=(float(knees[0]), float(knees[1])),
            shoulders=(float(-arms * left), float(-arms * right)),
            elbows=(elbow, elbow),
            abduction=(spread, spread),
            lift=float(flight * abs(np.cos(turn))),
        )

    return at


def falling(rng: np.random.Generator, height: float, begin: float) -> tuple[Motion, float]:
    """Stands, walks or runs until `begin` (s), then falls over like a pole that tips, knees and arms giving way.

    Returns:
        The motion, and the time (s) at which it lies.
    """
    before = [standing, standing, walking, walking, running][rng.integers(5)](rng, height)
    last, later = before(begin), before(begin + 0.02)
    direction = float(rng.choice([0.0, 0.0, np.pi, np.pi / 2, -np.pi / 2])) + rng.normal(0, 0.3)  # of its heading
    times, angles = _tipping(float(rng.uniform(0.5, 1.6)), 0.56 * height)
    buckle, reaching = rng.uniform(0.2, 1.6, 2), rng.uniform(0.3, 2.2, 2)
    away = rng.uniform(0.2, 1.4, 2)
    drift = (np.array(later.place) - last.place) / 0.02

    def at(seconds: float) -> Posture:
        if seconds <= begin:
            return before(seconds)
        angle = float(np.interp(seconds - begin, times, angles))
        share = angle / (np.pi / 2)
        slide = drift * 0.35 * (1 - np.exp(-(seconds - begin) / 0.35))
        way = last.heading + direction
        place = last.place + slide + 0.5 * height * np.sin(angle) * np.array([np.cos(way), np.sin(way)])
        tilt = angle * np.array([-np.sin(direction), np.cos(direction), 0.0])
        mix = min(1.0, 1.5 * share)

        def towards(now: tuple[float, float], then: Float) -> tuple[float, float]:
            out = np.asarray(now) * (1 - mix) + then * mix
            return float(out[0]), float(out[1])

        return replace(
            last,
            place=(float(place[0]), float(place[1])),
            tilt=(float(tilt[0]), float(tilt[1]), 0.0),
            lean=last.lean * (1 - mix),
            hips=towards(last.hips, 0.5 * buckle),
            knees=towards(last.knees, buckle),
            shoulders=towards(last.shoulders, reaching),
            abduction=towards(last.abduction, away),
            lift=last.lift * (1 - mix),
        )

    return at, begin + float(times[-1])


def _tipping(start: float, length: float) -> tuple[Float, Float]:
    """Times (s) and angles (rad) of a pole that tips over from 6 degrees, at first by `start` rad/s."""
    angle, speed, step = 0.1, start, 0.005
    angles = [angle]
    while angle < np.pi / 2:
        speed += step * 1.5 * G / (2 * length) * np.sin(angle)
        angle += step * speed
        angles.append(min(angle, np.pi / 2))
    return np.asarray(step * np.arange(len(angles))), np.array(angles)
