"""The public DenseFusion code beside ours; no copy of it is at hand, so a stand-in has its layout and signatures."""

from __future__ import annotations

import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from evaluation_cases import CAMERA, make_objects

from pose_tracking.benchmarks.networks import PUBLISHED, predict_one_by_one
from pose_tracking.benchmarks.public_densefusion import PublicDenseFusion, import_networks
from pose_tracking.core.errors import ConfigError
from pose_tracking.core.frame import RGBDFrame
from pose_tracking.core.results import Instances
from pose_tracking.objects import ObjectSet

STAND_IN = """
import lib.pspnet
from pose_tracking.benchmarks.networks import published_forward
from pose_tracking.pose.networks import network, refiner

class PoseNet(network.PoseNet):
    def __init__(self, num_points, num_obj):
        super().__init__(num_obj)

    def forward(self, img, x, choose, obj):
        rotation, translation, confidence, embedding = published_forward(self, img, x, choose[:, 0], obj[:, 0])
        return rotation, translation, confidence[..., None], embedding

class PoseRefineNet(refiner.PoseRefineNet):
    def __init__(self, num_points, num_obj):
        super().__init__(num_obj)

    def forward(self, x, emb, obj):
        return super().forward(x, emb, obj[:, 0])
"""


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A folder laid out like a clone, whose code is ours."""
    (tmp_path / "clone" / "lib").mkdir(parents=True)
    (tmp_path / "clone" / "lib" / "network.py").write_text(STAND_IN)
    (tmp_path / "clone" / "lib" / "pspnet.py").write_text("")
    return tmp_path / "clone"


@pytest.fixture(scope="module")
def objects(tmp_path_factory: pytest.TempPathFactory) -> ObjectSet:
    return make_objects(tmp_path_factory.mktemp("objects"))


def test_its_loop_finds_what_ours_finds_with_the_same_weights(
    objects: ObjectSet, checkout: Path, tmp_path: Path
) -> None:
    shape = CAMERA.height, CAMERA.width
    rng = np.random.default_rng(0)
    frame = RGBDFrame(rng.integers(0, 255, (*shape, 3), np.uint8), np.full(shape, 0.6, np.float32), CAMERA)
    boxes = [np.array([20, 20, 80, 90]), np.array([60, 40, 130, 100])]
    masks = np.zeros((2, *shape), bool)
    for mask, (x0, y0, x1, y1) in zip(masks, boxes, strict=True):
        mask[y0:y1, x0:x1] = True
    ids = np.array(list(objects)[:2])
    instances = Instances(
        ids, np.ones(2, np.float32), np.array(boxes, np.float32), masks, np.ones((2, 1, 1, 1), np.float32)
    )
    public = PublicDenseFusion(checkout, len(objects), PUBLISHED)
    theirs = public.predict(frame, instances, objects)
    ours = predict_one_by_one(public.ours(objects, tmp_path), frame, instances)
    assert len(theirs) == len(ours) == 2
    for pose, (rotation, translation) in zip(theirs, ours, strict=True):
        np.testing.assert_allclose(pose[:3, :3], rotation.numpy(), atol=1e-4)
        np.testing.assert_allclose(pose[:3, 3], translation.numpy(), atol=1e-4)


def test_names_that_it_takes_are_given_back(checkout: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mine = ModuleType("lib")
    monkeypatch.setitem(sys.modules, "lib", mine)
    path = list(sys.path)
    assert import_networks(checkout).__file__ == str(checkout / "lib" / "network.py")
    assert sys.modules["lib"] is mine
    assert "lib.network" not in sys.modules
    assert sys.path == path


def test_another_folder_is_refused_in_one_line(tmp_path: Path, checkout: Path) -> None:
    with pytest.raises(ConfigError, match=r"no checkout of DenseFusion.*git clone"):
        import_networks(tmp_path)
    (checkout / "lib" / "network.py").write_text("import nonesuch_package")
    with pytest.raises(ConfigError, match="cannot be imported .*nonesuch_package"):
        import_networks(checkout)
    (checkout / "lib" / "network.py").write_text("")
    with pytest.raises(ConfigError, match="has no PoseNet"):
        import_networks(checkout)
    (checkout / "lib" / "network.py").write_text("class PoseNet:\n    pass\nPoseRefineNet = PoseNet\n")
    with pytest.raises(ConfigError, match="cannot be built"):
        PublicDenseFusion(checkout, 2, PUBLISHED)


def test_the_command_refuses_it_where_it_says_nothing(checkout: Path) -> None:
    from pose_tracking.cli.benchmark import benchmark as command

    with pytest.raises(ConfigError, match="says nothing without --networks published"):
        command(densefusion_checkout=checkout, counts=None)
    with pytest.raises(ConfigError, match="no checkout of DenseFusion"):
        command(densefusion_checkout=checkout / "lib", networks="published", counts=None)
