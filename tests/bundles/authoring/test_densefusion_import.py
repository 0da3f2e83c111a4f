"""Published checkpoints: the public code's numbers, both file formats, and files that are refused."""

from __future__ import annotations

import os
import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
from densefusion_files import estimator_state, network_input, refiner_state, write_checkpoints

from pose_tracking.core.errors import BundleError
from pose_tracking.pose import load_densefusion
from pose_tracking.pose.networks.densefusion import read_checkpoint, select_outputs
from pose_tracking.pose.networks.network import PoseNet
from pose_tracking.pose.networks.refiner import PoseRefineNet

# Outputs of the public code (j96w/DenseFusion at f7af2d9, PyTorch on a CPU), one sample at a time, for the weights and
# inputs of `densefusion_files`: at the first and last point, and means over all of them.
ROTATION = [
    [[0.05319729, 0.82133359, 0.92183930, -0.03120315], [0.04513004, 0.77807957, 0.91913629, -0.03163248]],
    [[0.53253216, 0.21180435, -0.12643896, 1.45013261], [0.53390008, 0.22209930, -0.13686620, 1.45742226]],
    [[0.08652619, -0.45976385, -0.08018608, -0.24755263], [0.10782939, -0.50911176, -0.12315837, -0.25107312]],
]
TRANSLATION = [
    [[-0.46792495, 0.24666026, 0.23792028], [-0.52988607, 0.26306278, 0.22336498]],
    [[-0.12191023, -0.14035791, -0.87112272], [-0.14651917, -0.17496222, -0.86773241]],
    [[0.35837549, 0.13138556, 1.16375077], [0.33433253, 0.12468816, 1.10282385]],
]
CONFIDENCE = [[0.46022573, 0.45330644], [0.63796270, 0.63637698], [0.43077752, 0.44305319]]
EMBEDDING = [  # first and last channel
    [[-3.20884037, -3.31936884], [-3.59229779, -3.68590879]],
    [[-3.36175919, -3.34013653], [-3.76096630, -3.71679306]],
    [[-3.31808805, -3.42258000], [-3.70031261, -3.51666498]],
]
MEAN_ROTATION = [
    [0.04562057, 0.79984313, 0.92804116, -0.02985350],
    [0.52352387, 0.23083641, -0.15446657, 1.44185305],
    [0.07388775, -0.48935711, -0.08766117, -0.24817295],
]
MEAN_TRANSLATION = [
    [-0.49519271, 0.25769347, 0.25759041],
    [-0.12675381, -0.15977396, -0.86233771],
    [0.33803722, 0.11274195, 1.12518775],
]
MEAN_CONFIDENCE = [0.46462655, 0.63584328, 0.43443596]
MEAN_EMBEDDING = [-3.59907055, -3.59131694, -3.60162878]
REFINER_ROTATION = [
    [-0.58696526, -0.31368446, -0.30053452, 0.27495316],
    [0.47149533, 1.27286518, -0.25757003, 0.38590640],
    [0.68995172, -0.33935368, -0.17711520, 0.18925837],
]
REFINER_TRANSLATION = [
    [0.52127641, 0.05099575, -0.24841563],
    [0.04935037, 0.04981789, 0.02061222],
    [-0.16933340, 0.41706347, -1.07427788],
]


def _same(ours: torch.Tensor, published: object) -> None:
    np.testing.assert_allclose(ours.detach().numpy(), np.array(published, np.float32), rtol=0, atol=1e-5)


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    return write_checkpoints(tmp_path_factory.mktemp("zip"), 3)


@pytest.fixture(scope="module")
def legacy_files(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    return write_checkpoints(tmp_path_factory.mktemp("legacy"), 3, zip_format=False)


@pytest.mark.parametrize("form", ["files", "legacy_files"])
def test_a_batch_of_objects_has_the_outputs_of_the_public_code(form: str, request: pytest.FixtureRequest) -> None:
    checkpoints: tuple[Path, Path] = request.getfixturevalue(form)
    pose_net, refiner = load_densefusion(*checkpoints, 3)
    assert not pose_net.training
    assert not refiner.training
    image, points, choose, object_index = network_input()
    with torch.no_grad():
        rotation, translation, confidence, embedding = pose_net(image, points, choose, object_index)
        turn, shift = refiner(points, embedding, object_index)
    assert [tuple(x.shape) for x in (rotation, translation, confidence, embedding)] == [
        (3, 50, 4), (3, 50, 3), (3, 50, 1), (3, 32, 50),
    ]  # fmt: skip
    _same(rotation[:, [0, -1]], ROTATION)
    _same(rotation.mean(1), MEAN_ROTATION)
    _same(translation[:, [0, -1]], TRANSLATION)
    _same(translation.mean(1), MEAN_TRANSLATION)
    _same(confidence[:, [0, -1], 0], CONFIDENCE)
    _same(confidence.mean((1, 2)), MEAN_CONFIDENCE)
    _same(embedding[:, [0, -1]][:, :, [0, -1]], EMBEDDING)
    _same(embedding.mean((1, 2)), MEAN_EMBEDDING)
    _same(turn, REFINER_ROTATION)
    _same(shift, REFINER_TRANSLATION)


def test_crops_of_several_sizes_in_one_batch_equal_one_by_one(files: tuple[Path, Path]) -> None:
    pose_net, _ = load_densefusion(*files, 3)
    image, points, choose, object_index = network_input(height=80, width=80)
    sizes = [(40, 80), (80, 80), (40, 80)]
    choose = torch.stack([c % (h * w) for c, (h, w) in zip(choose, sizes, strict=True)])
    with torch.no_grad():
        together, _ = pose_net.most_confident(image, points, choose, object_index, 5, sizes)
        for i, (height, width) in enumerate(sizes):
            own = slice(i, i + 1)
            crop = image[own, :, :height, :width]
            alone, _ = pose_net.most_confident(crop, points[own], choose[own], object_index[own], 5)
            torch.testing.assert_close(alone.rotation[0], together.rotation[i], rtol=0, atol=1e-5)


def test_a_network_without_the_wrapper_for_several_gpus(files: tuple[Path, Path], tmp_path: Path) -> None:
    plain = tmp_path / "plain.pth"
    torch.save(estimator_state(3, wrapper=""), plain)
    wrapped, unwrapped = (load_densefusion(path, files[1], 3)[0].state_dict() for path in (files[0], plain))
    assert all(torch.equal(value, unwrapped[name]) for name, value in wrapped.items())


def test_outputs_can_be_reordered_and_left_out(files: tuple[Path, Path]) -> None:
    networks: list[PoseNet | PoseRefineNet] = [*load_densefusion(*files, 3)]
    image, points, choose, _ = network_input()
    kept: list[PoseNet | PoseRefineNet] = [PoseNet(2), PoseRefineNet(2)]
    for old, new in zip(networks, kept, strict=True):
        new.load_state_dict(select_outputs(old, [2, 0]))
        new.eval()
    with torch.no_grad():
        before = networks[0](image, points, choose, torch.tensor([0, 2, 2]))
        after = kept[0](image, points, choose, torch.tensor([1, 0, 0]))
        for a, b in zip(before, after, strict=True):
            torch.testing.assert_close(a, b)
        refined = [
            net(points, before.embedding, torch.tensor(index))
            for net, index in ((networks[1], [0, 2, 2]), (kept[1], [1, 0, 0]))
        ]
    torch.testing.assert_close(refined[0], refined[1])


class _Command:
    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.system, (f"touch '{self.marker}'",)


@pytest.mark.parametrize("form", ["zip", "legacy", "bare pickle"])
def test_a_malicious_pickle_is_refused_unexecuted(form: str, tmp_path: Path) -> None:
    marker, path = tmp_path / "executed", tmp_path / "evil.pth"
    content = {"feat.conv1.weight": torch.zeros(1), "payload": _Command(marker)}
    if form == "bare pickle":
        path.write_bytes(pickle.dumps(content["payload"], protocol=2))
    else:
        torch.save(content, path, _use_new_zipfile_serialization=form == "zip")
    with pytest.raises(BundleError, match=r"evil.pth: refused, nothing of it was run") as error:
        read_checkpoint(path)
    assert "\n" not in str(error.value)
    assert not marker.exists()
    if form == "zip":
        torch.load(path, weights_only=False)
        assert marker.exists()  # it would have run


@pytest.mark.parametrize("zip_format", [True, False])
def test_a_whole_pickled_network_is_refused(zip_format: bool, tmp_path: Path) -> None:
    path = tmp_path / "network.pth"
    torch.save(PoseRefineNet(1), path, _use_new_zipfile_serialization=zip_format)
    with pytest.raises(BundleError, match=r"asks for pose_tracking\.pose\..*\.PoseRefineNet.*state_dict\(\)"):
        read_checkpoint(path)


def test_mistakes_are_named_in_one_line(files: tuple[Path, Path], tmp_path: Path) -> None:
    pose, refiner = files
    other = tmp_path / "other.pth"
    torch.save(refiner_state(2), other)
    for arguments, message in (
        ((pose, refiner, 13), r"pose_model.pth: is for 3 objects.*13 were given"),
        ((pose, other, 3), r"other.pth: is for 2 objects.*3 were given"),
        ((refiner, pose, 3), r"is a refiner's checkpoint.*POSE first"),
        ((pose, pose, 3), r"is an estimator's checkpoint.*POSE first"),
        ((pose, tmp_path / "none.pth", 3), r"none.pth: missing: no such checkpoint"),
        ((pose, tmp_path, 3), r"no such checkpoint"),
        ((pose, refiner, 0), r"num_objects = 0"),
    ):
        with pytest.raises(BundleError, match=message) as error:
            load_densefusion(*arguments)
        assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"feat.conv5.bias": None}, "lacks weight feat.conv5.bias"),
        ({"feat.conv9.bias": torch.zeros(3)}, "unknown weight feat.conv9.bias"),
        ({"feat.conv1.weight": torch.zeros(64, 4, 1)}, r"feat.conv1.weight has shape \(64, 4, 1\)"),
        ({"feat.conv1.weight": torch.full((64, 3, 1), torch.nan)}, "feat.conv1.weight is not finite"),
        ({"feat.conv1.weight": torch.zeros((64, 3, 1), dtype=torch.int8)}, "feat.conv1.weight is torch.int8"),
        ({"epoch": 3}, "entry 'epoch' is a int, not a weight"),
    ],
)
def test_wrong_contents_are_named(
    change: dict[str, object], message: str, files: tuple[Path, Path], tmp_path: Path
) -> None:
    state = {name: value for name, value in {**refiner_state(3), **change}.items() if value is not None}
    path = tmp_path / "refiner.pth"
    torch.save(state, path)
    with pytest.raises(BundleError, match=f"refiner.pth: .*{message}") as error:
        load_densefusion(files[0], path, 3)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("zip_format", [True, False])
def test_cut_files_are_refused(zip_format: bool, tmp_path: Path) -> None:
    path = tmp_path / "cut.pth"
    torch.save({"conv3_r.weight": torch.zeros(100, 100)}, path, _use_new_zipfile_serialization=zip_format)
    whole = path.read_bytes()
    for length in (0, 1, 20, len(whole) // 2, len(whole) - 1):
        path.write_bytes(whole[:length])
        with pytest.raises(BundleError, match=r"cut.pth: .*again") as error:
            read_checkpoint(path)
        assert "\n" not in str(error.value)
