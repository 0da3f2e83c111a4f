"""Which views a camera passes on."""

from dataclasses import replace

import cv2
import numpy as np
import pytest
from live_samples import thing

from pose_tracking.core.results import TrackState
from pose_tracking.gallery.crop_selection import CropSelection, small_picture
from pose_tracking.gallery.pictures import picture_size

SECOND = 1_000_000_000
COLOR = np.full((48, 64, 3), 90, np.uint8)


def seen(track=1, side=20, turn=0.0, **about):
    mask = np.zeros((48, 64), bool)
    mask[4 : 4 + side, 4 : 4 + side] = True
    one = replace(thing(track), mask=mask, **about)
    assert one.pose is not None
    one.pose[:3, :3] = cv2.Rodrigues(np.array([0, turn, 0.0]))[0]
    return one


@pytest.fixture
def selection():
    return CropSelection()


def tracks(chosen):
    return [each.track_id for each in chosen]


def test_the_first_view_goes_and_the_same_one_not_again(selection):
    assert tracks(selection.choose(COLOR, 0, [seen()])) == [1]
    assert selection.choose(COLOR, SECOND, [seen()]) == []


def test_a_better_view_and_another_one_go(selection):
    selection.choose(COLOR, 0, [seen()])
    assert tracks(selection.choose(COLOR, 1, [seen(side=30)])) == [1]
    assert tracks(selection.choose(COLOR, 2, [seen(side=30, turn=0.6)])) == [1]
    assert selection.choose(COLOR, 3, [seen(side=30, turn=0.55)]) == []


def test_everything_goes_again_after_a_while_and_when_asked(selection):
    selection.choose(COLOR, 0, [seen()])
    assert tracks(selection.choose(COLOR, 21 * SECOND, [seen()])) == [1]
    selection.forget()
    assert tracks(selection.choose(COLOR, 22 * SECOND, [seen()])) == [1]


def test_those_without_a_view_come_first_and_two_at_once(selection):
    many = [seen(track) for track in (1, 2, 3)]
    assert tracks(selection.choose(COLOR, 0, many)) == [1, 2]
    many[0] = seen(1, turn=1.0)
    assert tracks(selection.choose(COLOR, 1, many)) == [3, 1]


def test_what_is_small_not_seen_or_not_sure_does_not_go(selection):
    assert selection.choose(COLOR, 0, [seen(side=10)]) == []
    assert selection.choose(COLOR, 0, [seen(frames_since_seen=1, state=TrackState.COASTING)]) == []
    assert selection.choose(COLOR, 0, [seen(state=TrackState.TENTATIVE)]) == []


def test_the_crop_has_pixels_and_a_transparent_background(selection):
    (chosen,) = selection.choose(COLOR, 7, [seen()])
    assert chosen.crop.pixels.shape == (20, 20, 4)
    assert (chosen.crop.stamp_ns, chosen.crop.area) == (7, 400)


def test_the_picture_is_small():
    data = small_picture(np.zeros((480, 640, 3), np.uint8))
    assert picture_size(data) == (320, 240)
    assert len(data) < 20_000
