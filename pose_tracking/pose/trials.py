"""Trying the poses of a frame's instances: what first, when it is enough, and what waits for the next frame."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from pose_tracking.core.arrays import Float
from pose_tracking.core.workers import compute_threads, map_at_once
from pose_tracking.objects import ObjectSet

from .attempts import Attempts, Checked, Origin, PutOff, is_near
from .config import PoseConfig
from .fitting.held_turn import hold_turn
from .fitting.icp import IcpRefiner
from .fitting.scoring import Verifier, score_features
from .hypotheses.search import RotationSearch
from .searches import SearchMemory


class Trials:
    """Refines and checks the poses of instances, best first, until one convinces.

    Args:
        config: options of the pose stage; may be replaced between two frames.
        objects: the known objects.
        icp, verifier, search: the parts of the stage.

    Attributes:
        put_off: what the last frame has left untried for want of time.
        searches: which searches of late were in vain.
    """

    def __init__(
        self, config: PoseConfig, objects: ObjectSet, icp: IcpRefiner, verifier: Verifier, search: RotationSearch
    ) -> None:
        self.config, self.objects = config, objects
        self.icp, self.verifier, self.search = icp, verifier, search
        self.reset()

    def reset(self) -> None:
        """Forget what frames before have left untried, or have searched for in vain."""
        self.put_off: list[PutOff] = []
        self.searches = SearchMemory()

    def run(self, attempts: list[Attempts], started: float) -> list[Attempts]:
        """Try what is worth it of the instances of a frame.

        Args:
            attempts: the instances.
            started: when the frame's poses were begun, by `time.perf_counter`.

        Returns:
            those that are left with something to try; it is remembered for the next frame.
        """
        self._try_first(attempts)
        left = self._try_others(attempts, started)
        self.searches.frame_done(attempts, self.objects, self.config.search)
        return left

    def _try_first(self, attempts: list[Attempts]) -> None:
        """Where a track expects the object, and the network's first hypothesis.

        The latter is left out where it would come to the same: where the prediction convinces, and the hypothesis is
        near. A track that has settled in a wrong pose, a half turn off perhaps, so has to win against the network in
        each frame.
        """
        self.try_poses([(one, one.predicted, Origin.TRACK) for one in attempts if one.predicted is not None])
        both = [one for one in attempts if not self._settled(one)]
        self.try_poses([(one, one.poses[0], Origin.NETWORK) for one in both])
        for one in both:
            one.is_agreed = self._agreed(one)
            self._leave_hopeless(one)

    def _leave_hopeless(self, one: Attempts) -> None:
        if one.best.score < self.config.refine_from:
            one.leave_hypotheses()

    def _settled(self, one: Attempts) -> bool:
        if not one.tried or one.best.score < self.config.accept:
            return False
        return is_near(one.best.pose, one.poses[0], self.objects[one.obj_id], self.config)

    def _agreed(self, one: Attempts) -> bool:
        """Whether track and network, which do not know of each other, have come to one pose that needs no search."""
        if one.predicted is None or one.best.score < self.config.search.below:
            return False
        track, network = one.tried
        return is_near(track.pose, network.pose, self.objects[one.obj_id], self.config)

    def _try_others(self, attempts: list[Attempts], started: float) -> list[Attempts]:
        """More hypotheses, and finds of the search, where nothing convinces, as long as there is time.

        Those that need a search of which the frame has had its number wait for the next. Where nothing is tracked the
        frame may be a still, which no other follows.
        """
        budget, most = self.config.time_budget * 1e-3, self.config.search.per_frame
        searches = most if most and any(one.predicted is not None for one in attempts) else len(attempts)
        waiting: list[Attempts] = []
        left = [one for one in attempts if one.is_open(self.config)]
        left.sort(key=lambda one: (-one.waited, -one.score))
        first = True
        while left and (first or not budget or time.perf_counter() - started < budget):
            # With a budget one by one, so that it is kept; at least one, so that none waits for ever.
            batch = left[:1] if budget else left
            needing = [one for one in batch if one.needs_search(self.config)]
            searched, more = needing[:searches], needing[searches:]
            for one, found in zip(searched, map_at_once(self.find, searched), strict=True):
                one.found(found)
            searches, waiting = searches - len(searched), waiting + more
            self._try_ahead([one for one in batch if one not in more])
            left = [one for one in left if one.is_open(self.config) and one not in waiting]
            first = False
        left += waiting
        self.put_off = [one.put_off() for one in left]
        return left

    def _try_ahead(self, attempts: Sequence[Attempts]) -> None:
        """The next pose of each of some instances, and beside it the next but one where a thread would wait.

        The latter counts only where the former does not convince, so that threads change nothing but the time.
        """
        ahead = max(compute_threads() // max(len(attempts), 1), 1)
        chosen = [(one, *following) for one in attempts for following in one.next_poses(ahead)]
        for (one, _, _), checked in zip(chosen, map_at_once(self._worth_it, chosen), strict=True):
            if one.is_open(self.config):
                one.add_later(checked)
                self._leave_hopeless(one)

    def try_poses(self, poses: Sequence[tuple[Attempts, Float, Origin]], every: bool = False) -> None:
        """Refine and check poses, and tell those that they are of; `every` one, or those that are worth it."""
        check = self._checked if every else self._worth_it
        for (one, _, _), checked in zip(poses, map_at_once(check, poses), strict=True):
            one.add(checked)

    def _worth_it(self, attempt: tuple[Attempts, Float, Origin]) -> Checked:
        """As `_checked`; a hypothesis of which the frame says too little is left where it is."""
        one, pose, origin = attempt
        if origin is Origin.NETWORK and self.config.refine_from > 0:
            check = self.verifier.verify(one.view, one.obj_id, pose)
            # The outline is what a pose that is a little off is worst at.
            lenient = replace(self.config.verification, max_continued=1.0, continued_weight=0.0)
            if score_features(lenient, check.features) < self.config.refine_from:
                return Checked(pose, check, origin)
        return self._checked(attempt)

    def _checked(self, attempt: tuple[Attempts, Float, Origin]) -> Checked:
        one, pose, origin = attempt
        if origin is Origin.TRACK:  # it is nearly there
            refined = self.refine(one, pose, final=True)
            held, check = hold_turn(self.verifier, self.icp, one.view, one.obj_id, one.points, refined, pose)
            return Checked(held, check, origin)
        refined = self.refine(one, pose)
        return Checked(refined, self.verifier.verify(one.view, one.obj_id, refined), origin)

    def refine(self, one: Attempts, pose: Float, final: bool = False) -> Float:
        noise = self.verifier.noise(one.view.frame).excess(pose[2, 3])
        return np.asarray(self.icp.refine(one.obj_id, one.points, pose[None], final, noise).poses[0])

    def find(self, one: Attempts) -> Float:
        """(K, 4, 4) finds of the rotation search; none where it is off or has too little to go by."""
        if not self.config.search.enabled or len(one.points) < self.config.icp.min_points:
            return np.zeros((0, 4, 4))
        return self.search.candidates(one.obj_id, one.points, one.view.frame, one.mask)

    def finish(self, one: Attempts) -> Checked:
        """The best pose after the last ICP, unless the frame then says less for it."""
        best = one.best
        if best.origin is Origin.TRACK:  # its ICP was the last one
            return best
        final = self.refine(one, best.pose, final=True)
        check = self.verifier.verify(one.view, one.obj_id, final)
        return Checked(final, check, best.origin) if check.score >= best.score else best
