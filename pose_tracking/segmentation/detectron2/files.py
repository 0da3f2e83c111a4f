"""The files of a detectron2 training, read without detectron2: ``config.yaml``, ``model_final.pth``, class names."""

from __future__ import annotations

import json
from collections import Counter, OrderedDict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
import yaml
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor
from torch.nn.modules.utils import consume_prefix_in_state_dict_if_present

from pose_tracking.core.arrays import Int
from pose_tracking.core.config import from_mapping
from pose_tracking.core.errors import BundleError
from pose_tracking.networks.checkpoints import read_array_pickle, read_pickle
from pose_tracking.segmentation.config import SegmentationConfig

IGNORED = -1

_CONFIG_FIX = "give the config.yaml that training wrote into OUTPUT_DIR, or write cfg.dump() into it"
_MOST_BASES = 8  # configs that build on each other
_VERSIONS = "layer_versions"

# Older versions saved these buffers; the network computes them from its config.
_REBUILT = ("pixel_mean", "pixel_std")
_REBUILT_PARTS = ("anchor_generator.cell_anchors", "num_batches_tracked")


def read_config(path: str | Path) -> dict[str, Any]:
    """The options in ``config.yaml``, as plain values.

    Raises:
        BundleError: missing file, no mapping, YAML that would construct Python objects, or a file that is not complete.
    """
    path = Path(path)
    values = _read_yaml(path)
    if not isinstance(values.get("MODEL"), Mapping):
        raise BundleError(
            f"{path}: has no section MODEL, so it is no detectron2 config of the yacs kind; {_CONFIG_FIX}"
        )
    if "_BASE_" in values:
        raise BundleError(f"{path}: is not complete, it builds on {values['_BASE_']!r}; {_CONFIG_FIX}")
    return values


def _read_yaml(path: Path) -> dict[str, Any]:
    try:
        values = yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise BundleError(f"{path}: missing detectron2 config; {_CONFIG_FIX}") from error
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        reason = " ".join(str(error).split())
        raise BundleError(f"{path}: cannot be read ({reason}); {_CONFIG_FIX}") from error
    return dict(values) if isinstance(values, Mapping) else {}


def read_complete_config(path: str | Path, depth: int = 0) -> dict[str, Any]:
    """The options in a config of the model zoo, with those of the configs that it builds on (``_BASE_``).

    Raises:
        BundleError: as `read_config`, or the configs build on each other without end.
    """
    path = Path(path)
    values = _read_yaml(path)
    base = values.pop("_BASE_", None)
    if base is not None:
        if not isinstance(base, str) or depth >= _MOST_BASES:
            raise BundleError(f"{path}: builds on {base!r}, which is no file that could be read; {_CONFIG_FIX}")
        values = _merged(read_complete_config(path.parent / base, depth + 1), values)
    if not isinstance(values.get("MODEL"), Mapping):
        raise BundleError(
            f"{path}: has no section MODEL, so it is no detectron2 config of the yacs kind; {_CONFIG_FIX}"
        )
    return values


def _merged(base: Mapping[str, Any], values: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(base)
    for name, value in values.items():
        known = merged.get(name)
        merged[name] = _merged(known, value) if isinstance(known, Mapping) and isinstance(value, Mapping) else value
    return merged


def inference_options(path: str | Path) -> dict[str, Any]:
    """Options of `SegmentationConfig` that make a bundle see what detectron2's `DefaultPredictor` sees.

    Raises:
        BundleError, ConfigError: the config cannot be read, or a value is out of range.
    """
    values = read_config(path)
    heads, test = values["MODEL"].get("ROI_HEADS") or {}, values.get("TEST") or {}
    options = {
        "score_threshold": heads.get("SCORE_THRESH_TEST", 0.05),
        "nms_iou": heads.get("NMS_THRESH_TEST", 0.5),
        "max_detections": test.get("DETECTIONS_PER_IMAGE", 100),
        "cross_class_iou": 1.0,
        "mask_threshold": 0.5,
    }
    from_mapping(SegmentationConfig, options, str(path))
    return options


def read_checkpoint(path: str | Path) -> OrderedDict[str, Tensor]:
    """Weights by name out of a checkpoint of detectron2's trainer, or out of a bare ``state_dict()``.

    The trainer's own state (optimizer, schedule) is left aside, and so are buffers that the network computes itself.

    Raises:
        BundleError: the file is missing or damaged, or a pickle of more than tensors, arrays and plain values.
    """
    path = Path(path)
    fix = "if you trust it, load it in detectron2 and torch.save({'model': model.state_dict()}, 'model_final.pth')"
    if path.suffix == ".safetensors":
        content: Any = _read_safetensors(path)
    elif path.suffix in (".pkl", ".pickle"):
        content = _with_tensors(read_array_pickle(path, fix))
    else:
        content = read_pickle(path, fix)
    state = content.get("model", content) if isinstance(content, Mapping) else content
    if not isinstance(state, Mapping) or not state:
        raise BundleError(f"{path}: has no weights by name under 'model'; {fix}")
    for name, value in state.items():
        if not isinstance(name, str) or not isinstance(value, Tensor):
            raise BundleError(f"{path}: entry {str(name)!r} is a {type(value).__name__}, not a weight; {fix}")
    # The same object where possible: it has the versions of the layers, by which old checkpoints are converted.
    weights = state if isinstance(state, OrderedDict) else OrderedDict(state)
    consume_prefix_in_state_dict_if_present(weights, "module.")
    for name in list(weights):
        if name in _REBUILT or any(part in name for part in _REBUILT_PARTS):
            del weights[name]
    for name, value in weights.items():
        if not torch.isfinite(value).all():
            raise BundleError(f"{path}: weight {name} is not finite: the training run diverged")
    return weights


def save_checkpoint(weights: Mapping[str, Tensor], path: str | Path) -> None:
    """Write weights of `read_checkpoint` as safetensors, with the versions of their layers."""
    versions = {name: entry.get("version") for name, entry in getattr(weights, "_metadata", {}).items()}
    whole = {name: value.contiguous().clone() for name, value in weights.items()}
    save_file(whole, path, {_VERSIONS: json.dumps(versions)})


def _read_safetensors(path: Path) -> OrderedDict[str, Tensor]:
    try:
        with safe_open(path, "pt") as file:
            versions = json.loads((file.metadata() or {}).get(_VERSIONS, "{}"))
            weights = OrderedDict((name, file.get_tensor(name)) for name in file.keys())  # noqa: SIM118
    except FileNotFoundError as error:
        raise BundleError(f"{path}: missing: no such checkpoint") from error
    except (OSError, SafetensorError, ValueError) as error:
        raise BundleError(f"{path}: damaged or no safetensors file ({str(error).splitlines()[0]})") from error
    # By these PyTorch converts what layers of older versions have saved.
    weights._metadata = OrderedDict((name, {"version": v}) for name, v in versions.items())  # type: ignore[attr-defined]
    return weights


def _with_tensors(content: Any) -> Any:
    """Contents of a model zoo's pickle with tensors in the place of arrays."""
    if isinstance(content, Mapping):
        return {name: _with_tensors(value) for name, value in content.items()}
    if isinstance(content, np.ndarray) and content.dtype.kind in "fiu":
        return torch.from_numpy(np.array(content, order="C"))
    return content


def class_map(thing_classes: Sequence[str], names: Mapping[int, str], where: str) -> tuple[Int, tuple[str, ...]]:
    """Which object every class of the detector is, by name.

    Args:
        thing_classes: names of the classes in the order of the training.
        names: the bundle's object names by id.
        where: what gave `thing_classes`, for errors.

    Returns:
        (K,) object id of every class, `IGNORED` where the bundle knows no object of that name, and those names.

    Raises:
        BundleError: an object has no class, or a name is not unique.
    """
    for what, given in ((where, list(thing_classes)), ("the bundle", list(names.values()))):
        double = next((name for name, count in Counter(given).items() if count > 1), None)
        if double is not None:
            raise BundleError(f"{what} has two classes called {double!r}: names must tell them apart")
    missing = [name for name in names.values() if name not in thing_classes]
    if missing:
        raise BundleError(
            f"no detectron2 class is called {missing[0]!r}: the bundle's objects are {', '.join(names.values())}; the "
            f"classes of {where} are {', '.join(thing_classes)}; make the names equal (objects.names, or "
            "segmentation.detectron2.thing_classes)"
        )
    by_name = {name: obj_id for obj_id, name in names.items()}
    obj_ids = np.array([by_name.get(name, IGNORED) for name in thing_classes], np.int64)
    return obj_ids, tuple(name for name in thing_classes if name not in by_name)
