"""A model bundle from published DenseFusion checkpoints and the segmentation of another bundle."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors.torch import save_file
from torch import Tensor

from pose_tracking.bundles.bundle import CONFIG_FILE, ModelBundle
from pose_tracking.bundles.bundle_config import SCHEMA
from pose_tracking.bundles.edit import bundle_yaml
from pose_tracking.core.errors import BundleError, OutputError
from pose_tracking.core.files import atomic_path, output_errors
from pose_tracking.core.yaml_files import read_yaml
from pose_tracking.objects import ObjectSet
from pose_tracking.pose.networks.densefusion import ENCODER, load_densefusion, select_outputs

MODELS_INFO = "models_info.json"
# Two bundles mean the same object where the diameters differ by no more than what meshing does.
DIAMETER_TOLERANCE = 0.05
# Options of the pose stage that do not concern its networks.
CHECK_OPTIONS = ("accept", "icp", "verification", "search", "covariance")
NO_GATE = 1000.0  # diameters: the public code takes every pixel of the mask that has depth


@dataclass(frozen=True)
class Recipe:
    """What the public evaluation script of a data set does beside running the networks.

    Attributes:
        window: `CropConfig.window`.
        points: points of an instance.
        iterations: passes of the refiner.
    """

    window: str
    points: int
    iterations: int

    def pose_options(self) -> dict[str, Any]:
        """Options of `PoseConfig` that differ from those of networks trained by this package."""
        crop = {
            "window": self.window,
            "points": self.points,
            "gate": NO_GATE,
            "centred": False,
            "view_aligned": False,
            "unit": "metre",
            "mask_background": False,
            "normalization": "raw_imagenet",
        }
        return {
            "encoder": ENCODER,
            "crop": crop,
            "refine_iterations": self.iterations,
            "refine_points": self.points,
        }


# tools/eval_linemod.py and tools/eval_ycb.py of j96w/DenseFusion.
RECIPES = {"linemod": Recipe("published_mask", 500, 4), "ycb": Recipe("published_box", 1000, 2)}


def import_densefusion(
    pose: str | Path,
    refiner: str | Path,
    objects: str | Path,
    object_ids: Sequence[int],
    segmenter: str | Path,
    out: str | Path,
    *,
    recipe: str = "linemod",
    unit: str = "mm",
    known_only: bool = False,
) -> ModelBundle:
    """Write the bundle `out`; its folder appears whole or not at all.

    The weights keep single precision, so that the outputs are those of the public code. Bundles list their objects by
    ascending id, whatever the order of `object_ids`: the outputs of the networks are put in that order.

    Args:
        pose, refiner: the checkpoints, see `load_densefusion`.
        objects: BOP folder with ``models_info.json`` and the meshes ``obj_NNNNNN.ply`` the networks were trained with.
        object_ids: BOP object ids in the order of the networks' outputs.
        segmenter: name or folder of a bundle whose segmentation finds these objects, by the same ids. Its tracking and
            depth-check options are taken over too.
        out: folder of the new bundle, which must not exist yet or be empty.
        recipe: key of `RECIPES`, the data set whose evaluation script is followed.
        unit: unit of `objects`, "mm" (BOP) or "m".
        known_only: leave out objects that the segmentation does not know, instead of refusing.

    Raises:
        BundleError: a checkpoint cannot be used, an object is unknown, or the segmentation is of other objects.
        MeshError: wrong `unit`.
        OutputError: `out` exists or cannot be written.
    """
    out, folder = Path(out), Path(objects)
    if recipe not in RECIPES:
        raise BundleError(f"recipe {recipe!r}: must be one of {', '.join(RECIPES)}")
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise OutputError(f"{out}: exists already; name a new folder, or remove it first")
    _check_ids(object_ids)
    source = _segmenter_of(segmenter)
    if not known_only:
        _check_listed(object_ids, folder / MODELS_INFO)
    kept = _kept_ids(object_ids, source, known_only)
    _check_listed(kept, folder / MODELS_INFO)
    names = {obj_id: source.objects[obj_id].name for obj_id in kept}
    known = ObjectSet.load(folder / MODELS_INFO, folder, names=names, unit=unit)
    _check_same_objects(known, source)

    pose_net, refine_net = load_densefusion(pose, refiner, len(object_ids))
    order = [list(object_ids).index(obj_id) for obj_id in kept]
    with atomic_path(out) as temporary, output_errors(out):
        temporary.mkdir()
        _save(select_outputs(pose_net, order), temporary / "pose.safetensors")
        _save(select_outputs(refine_net, order), temporary / "refiner.safetensors")
        _copy_segmentation(source, temporary)
        _copy_objects(folder, kept, temporary)
        config = _config(source, out.name, Path(pose).name, names, unit, RECIPES[recipe])
        (temporary / CONFIG_FILE).write_text(bundle_yaml(config), encoding="utf-8")
        ModelBundle.load(temporary)
    return ModelBundle.load(out)


def _segmenter_of(segmenter: str | Path) -> ModelBundle:
    source = ModelBundle.load(segmenter, require_weights=False)
    if not source.segmentation_weights.is_file():
        raise BundleError(f"{source.segmentation_weights}: missing weight file; train it or name another --segmenter")
    return source


def _check_ids(object_ids: Sequence[int]) -> None:
    if not object_ids:
        raise BundleError("--object-ids: is empty; list the BOP object ids in the order of the networks' outputs")
    for i, obj_id in enumerate(object_ids):
        if obj_id < 1:
            raise BundleError(f"--object-ids: {obj_id} is no BOP object id; they begin with 1")
        if obj_id in object_ids[:i]:
            raise BundleError(f"--object-ids: {obj_id} is listed twice; the networks have one output for each object")


def _kept_ids(object_ids: Sequence[int], source: ModelBundle, known_only: bool) -> list[int]:
    """The ids the segmentation knows, ascending: the order of every object set."""
    missing = [obj_id for obj_id in object_ids if obj_id not in source.objects]
    kept = sorted(obj_id for obj_id in object_ids if obj_id in source.objects)
    if missing and not (known_only and kept):
        knows = ", ".join(f"{obj_id} ({model.name})" for obj_id, model in source.objects.items())
        fix = "name another --segmenter" + (", or leave these objects out with --known-only" if kept else "")
        raise BundleError(
            f"{source.path}: its segmentation does not know object {', '.join(map(str, missing))}, only {knows}; {fix}"
        )
    return kept


def _check_listed(object_ids: Sequence[int], models_info: Path) -> None:
    listed = _read_models_info(models_info)
    for obj_id in object_ids:
        if str(obj_id) not in listed:
            raise BundleError(
                f"--object-ids: {obj_id} is not in {models_info}, which has {', '.join(listed)}; name the --objects "
                "folder of the data set the networks were trained on"
            )


def _read_models_info(path: Path) -> dict[str, Any]:
    try:
        entries = json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise BundleError(f"{path}: cannot be read ({error}); --objects is a BOP folder of models") from error
    if not isinstance(entries, dict):
        raise BundleError(f"{path}: is not a mapping of object ids; --objects is a BOP folder of models")
    return entries


def _check_same_objects(known: ObjectSet, source: ModelBundle) -> None:
    """Ids are small numbers that every data set counts from 1; a diameter tells whose they are."""
    for obj_id, model in known.items():
        theirs = source.objects[obj_id].diameter
        if abs(theirs - model.diameter) > DIAMETER_TOLERANCE * model.diameter:
            raise BundleError(
                f"{source.path}: its object {obj_id} ({source.objects[obj_id].name}) has a diameter of {theirs:.3f} m, "
                f"that of --objects {model.diameter:.3f} m: another data set; name a --segmenter of the same objects"
            )


def _save(state: dict[str, Tensor], path: Path) -> None:
    save_file({name: value.detach().contiguous() for name, value in state.items()}, path)
    path.chmod(0o644)  # safetensors makes files only their owner may read


def _copy_segmentation(source: ModelBundle, target: Path) -> None:
    """Every file of the other bundle beside its own description, objects and pose networks."""
    replaced = {CONFIG_FILE, source.config.objects.models_info, source.pose_weights.name, source.refiner_weights.name}
    for file in sorted(source.path.iterdir()):
        if file.is_file() and file.name not in replaced and not file.name.startswith("."):
            shutil.copyfile(file, target / file.name)


def _copy_objects(folder: Path, obj_ids: Sequence[int], target: Path) -> None:
    """The entries of models_info and the meshes, with textures that lie beside them."""
    entries = _read_models_info(folder / MODELS_INFO)
    selected = {str(obj_id): entries[str(obj_id)] for obj_id in obj_ids}
    (target / MODELS_INFO).write_text(json.dumps(selected, indent=1) + "\n")
    (target / "meshes").mkdir()
    for obj_id in obj_ids:
        for file in sorted(folder.glob(f"obj_{obj_id:06d}.*")):
            shutil.copyfile(file, target / "meshes" / file.name)


def _config(
    source: ModelBundle, name: str, checkpoint: str, names: dict[int, str], unit: str, recipe: Recipe
) -> dict[str, Any]:
    """Contents of ``bundle.yaml``: what the other bundle states of the stages that are taken from it, and ours."""
    theirs = read_yaml(source.path / CONFIG_FILE)
    objects = {"names": names, "models_info": MODELS_INFO, "meshes": "meshes", "unit": unit}
    classes = source.config.objects.segmented or tuple(source.objects)
    if list(classes) != list(names):
        objects["segmented"] = list(classes)
    pose = {key: value for key, value in (theirs.get("pose") or {}).items() if key in CHECK_OPTIONS}
    return {
        **theirs,
        "schema": SCHEMA,
        "name": name,
        "description": f"DenseFusion networks of {checkpoint}; segmentation of the bundle {source.name}.",
        "objects": objects,
        "pose": {**pose, **recipe.pose_options()},
    }
