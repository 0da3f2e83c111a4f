"""The public DenseFusion code beside ours: its networks from a checkout of it, in the loop of its evaluation.

The code is the user's copy (github.com/j96w/DenseFusion, published under a licence of its own) and is imported from
there; nothing of it is part of this package. Its ``tools/eval_linemod.py`` estimates one object at a time: the pose of
the most confident point, then passes of the refiner, between which the pose goes through NumPy on the CPU.
"""

from __future__ import annotations

import importlib
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import torch
from safetensors.torch import save_file
from scipy.spatial.transform import Rotation
from torch import nn

from pose_tracking.core.arrays import Float
from pose_tracking.core.errors import ConfigError
from pose_tracking.core.frame import RGBDFrame
from pose_tracking.core.geometry import make_transform
from pose_tracking.core.results import Instances
from pose_tracking.networks.engines.engine import Engine
from pose_tracking.objects import ObjectSet
from pose_tracking.pose.config import PoseConfig
from pose_tracking.pose.hypotheses.crops import make_crops
from pose_tracking.pose.hypotheses.predictor import PosePredictor
from pose_tracking.pose.networks.densefusion import load_densefusion

_PACKAGE, _MODULE = "lib", "lib.network"  # its own, with top-level names


class PublicDenseFusion:
    """The networks of a checkout, with random weights that a seed makes repeatable.

    Args:
        checkout: root of a clone of github.com/j96w/DenseFusion.
        count: number of objects.
        config: crops, number of points and passes of the refiner.
        device: of the networks.

    Raises:
        ConfigError: the folder is no such clone, or its code does not run here.
    """

    def __init__(self, checkout: Path, count: int, config: PoseConfig, device: str = "cpu") -> None:
        self.config, self.device = config, torch.device(device)
        module = import_networks(checkout)
        try:
            with torch.random.fork_rng(devices=[]), warnings.catch_warnings():
                warnings.simplefilter("ignore")  # it was written for PyTorch 1.0
                torch.manual_seed(0)
                self.estimator: nn.Module = module.PoseNet(num_points=config.crop.points, num_obj=count)
                self.refiner: nn.Module = module.PoseRefineNet(num_points=config.crop.points, num_obj=count)
        except Exception as error:  # somebody else's code
            raise ConfigError(f"{checkout}: its networks cannot be built ({_line(error)})") from error
        self.estimator.to(self.device).eval()
        self.refiner.to(self.device).eval()

    def ours(self, objects: ObjectSet, folder: Path, engine: Engine | None = None) -> PosePredictor:
        """Our stage with the same weights, read as `import-densefusion` reads a checkpoint.

        Args:
            objects: as many as the networks are for.
            folder: for files.
            engine: what runs ours; PyTorch without.
        """
        for network, name in ((self.estimator, "pose"), (self.refiner, "refiner")):
            torch.save(network.state_dict(), folder / f"{name}.pth")
        networks = load_densefusion(folder / "pose.pth", folder / "refiner.pth", len(objects))
        for network, name in zip(networks, ("pose", "refiner"), strict=True):
            weights = {key: value.detach().contiguous() for key, value in network.state_dict().items()}
            save_file(weights, folder / f"public-{name}.safetensors")
        files = folder / "public-pose.safetensors", folder / "public-refiner.safetensors"
        return PosePredictor(self.config, objects, *files, str(self.device), engine)

    @torch.inference_mode()
    def predict(self, frame: RGBDFrame, instances: Instances, objects: ObjectSet) -> list[Float]:
        """(4, 4) pose of each instance that has depth, in the frame of its crop, one after the other."""
        poses = []
        for i, obj_id in enumerate(instances.obj_ids.tolist()):
            diameters = np.array([objects[obj_id].diameter])
            crops = make_crops(
                frame, instances.boxes[i : i + 1], instances.masks[i : i + 1], diameters, self.config.crop
            )
            if crops.valid[0]:
                poses.append(self._pose(crops.image, crops.points, crops.choose, objects.index_of(obj_id)))
        return poses

    def _pose(self, image: Any, points: Any, choose: Any, index: int) -> Float:
        image, points, choose = (torch.from_numpy(array).to(self.device) for array in (image, points, choose))
        which = torch.tensor([[index]], device=self.device)
        quaternions, offsets, confidences, embedding = self.estimator(image, points, choose[:, None], which)
        best = int(confidences.flatten().argmax())
        translation = (points[0, best] + offsets[0, best]).cpu().numpy()
        pose = make_transform(_rotation(quaternions[0, best]), translation.astype(np.float64))
        for _ in range(self.config.refine_iterations):
            rotation = torch.from_numpy(pose[:3, :3].astype(np.float32)).to(self.device)
            origin = torch.from_numpy(pose[:3, 3].astype(np.float32)).to(self.device)
            moved = torch.bmm(points - origin, rotation[None])
            quaternion, shift = self.refiner(moved, embedding, which)
            step = make_transform(_rotation(quaternion.flatten()), shift.flatten().cpu().numpy().astype(np.float64))
            pose = pose @ step
        return np.asarray(pose)


def import_networks(checkout: Path) -> ModuleType:
    """The module ``lib/network.py`` of a checkout; the names that it takes are given back.

    Raises:
        ConfigError: it is not there, or cannot be imported.
    """
    checkout = Path(checkout).expanduser()
    if not (checkout / "lib" / "network.py").is_file():
        raise ConfigError(
            f"{checkout}: no checkout of DenseFusion (lib/network.py is missing): git clone "
            "https://github.com/j96w/DenseFusion"
        )
    with _importable(checkout):
        try:
            module = importlib.import_module(_MODULE)
        except Exception as error:  # somebody else's code
            raise ConfigError(f"{checkout}: lib/network.py cannot be imported ({_line(error)})") from error
    for name in ("PoseNet", "PoseRefineNet"):
        if not hasattr(module, name):
            raise ConfigError(f"{checkout}: lib/network.py has no {name}: another version, or another project")
    return module


@contextmanager
def _importable(checkout: Path) -> Iterator[None]:
    """Its packages have names as common as ``lib``: others of that name step aside for the while."""
    aside = {name: sys.modules.pop(name) for name in list(sys.modules) if name.split(".")[0] == _PACKAGE}
    sys.path.insert(0, str(checkout))
    try:
        yield
    finally:
        sys.path.remove(str(checkout))
        for name in [name for name in sys.modules if name.split(".")[0] == _PACKAGE]:
            del sys.modules[name]
        sys.modules.update(aside)


def _rotation(quaternion: torch.Tensor) -> Float:
    """(3, 3) of a quaternion (4,) wxyz of any length."""
    w, x, y, z = quaternion.cpu().numpy().astype(np.float64)
    return np.asarray(Rotation.from_quat([x, y, z, w]).as_matrix())


def _line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:200]
