"""Model bundles: a folder with an object set, weights and one YAML of thresholds and sizes.

Layout of ``models/<name>/``::

    bundle.yaml               objects, segmentation, pose, tracking, pipeline and inference options
    models_info.json          BOP: diameters, extents, symmetries; not of objects with `geometry: none`
    meshes/obj_NNNNNN.ply     optional; without them `objects` names a folder that has them
    segmentation.safetensors  Mask R-CNN; with `segmenter: detectron2` its config.yaml and model_final.pth instead, with
                              `segmenter: graph` detector.onnx or another graph file
    pose.safetensors          DenseFusion estimator, where an object has a geometry
    refiner.safetensors       DenseFusion refiner, likewise
    clips.safetensors         optional: clip network, used where `pipeline.events.clips.network` names it
    appearance.safetensors    optional: identity embedding; without it the detector's pooled features serve
    crops.safetensors         optional: the same for a gallery, of crops that are shown to the detector alone
    templates.safetensors     rendered views of the objects, for bundles that no network was trained for yet
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from pose_tracking.core.errors import BundleError
from pose_tracking.core.yaml_files import YamlFileError, read_yaml
from pose_tracking.networks.engines.config import InferenceConfig
from pose_tracking.objects import ObjectSet

from .bundle_config import BundleConfig, read_options
from .embeddings import build_embedding
from .finding import CONFIG_FILE, find_bundle, known_bundles, search_path
from .objects_config import ObjectsConfig, load_objects

if TYPE_CHECKING:
    from pose_tracking.pose.estimator import PoseEstimator
    from pose_tracking.pose.stage import OwnStage
    from pose_tracking.segmentation.embedding import AppearanceEmbedding
    from pose_tracking.segmentation.segmenter import Segmenter
    from pose_tracking.templates.search import TemplateSearch

__all__ = ["CONFIG_FILE", "BundleConfig", "ModelBundle", "ObjectsConfig", "find_bundle", "known_bundles", "search_path"]


@dataclass(frozen=True)
class ModelBundle:
    """A loaded bundle: checked options, the object set and where the weights lie.

    ``ModelBundle.load("demo")`` reads one that is shipped, ``ModelBundle.load("path/to/bundle")`` one of your own.

    Attributes:
        path: folder of the bundle.
        config: contents of ``bundle.yaml``.
        objects: the object set; `objects.with_mesh` says of which depth checks are possible.
        meshes: folder of meshes given in place of the bundle's own, or None.
    """

    path: Path
    config: BundleConfig
    objects: ObjectSet
    meshes: Path | None = None

    @cached_property
    def shapes(self) -> ObjectSet:
        """The objects with all that the bundle has on their shapes, for simulating and scoring.

        That of objects with ``geometry: none`` is kept from the pipeline, and need not be there.
        """
        listed = self.config.objects
        if self.objects.with_shape == self.objects or not (self.path / listed.models_info).is_file():
            return self.objects
        return load_objects(replace(listed, geometry="mesh"), self.path, self.meshes, CONFIG_FILE)

    def with_config(self, config: BundleConfig) -> ModelBundle:
        """The same bundle with other options.

        Raises:
            ConfigError, BundleError, MeshError: as `load`, where they concern the objects.
        """
        if config.objects == self.config.objects:
            return replace(self, config=config)
        objects = load_objects(config.objects, self.path, self.meshes, CONFIG_FILE)
        return replace(self, config=config, objects=objects)

    def with_clip_network(self, network: str) -> ModelBundle:
        """The same bundle with a clip network beside its event rules: a file of its folder, or a whole path."""
        pipeline = self.config.pipeline
        events = replace(pipeline.events, clips=replace(pipeline.events.clips, network=network))
        return replace(self, config=replace(self.config, pipeline=replace(pipeline, events=events)))

    @property
    def name(self) -> str:
        """Name for people and reports."""
        return self.config.name or self.path.name

    @property
    def segmentation_weights(self) -> Path:
        """Weights file of the detector."""
        segmentation = self.config.segmentation
        if segmentation.backend == "detectron2":
            return self.path / segmentation.detectron2.weights
        if segmentation.backend == "graph":
            return self.path / segmentation.graph.file
        return self.path / "segmentation.safetensors"

    @property
    def pose_weights(self) -> Path:
        """DenseFusion estimator weights file."""
        return self.path / "pose.safetensors"

    @property
    def refiner_weights(self) -> Path:
        """DenseFusion refiner weights file."""
        return self.path / "refiner.safetensors"

    @property
    def appearance_weights(self) -> Path:
        """Weights file of the identity embedding; a bundle need not have one."""
        return self.path / "appearance.safetensors"

    @property
    def templates_file(self) -> Path:
        """Templates of the objects; only what runs without networks reads them."""
        return self.path / "templates.safetensors"

    @property
    def needed_weights(self) -> list[Path]:
        """Weight files without which the bundle does not run."""
        files = [] if self.config.segmentation.backend == "depth_segments" else [self.segmentation_weights]
        if self.config.pose.proposed_by == "templates" or not self.objects.with_shape:
            return files
        return [*files, self.pose_weights, self.refiner_weights]

    @cached_property
    def template_search(self) -> TemplateSearch:
        """The search by templates, one for detector and pose stage."""
        from pose_tracking.templates.search import TemplateSearch
        from pose_tracking.templates.templates import load_templates

        known = self.objects.with_shape
        known.require_meshes("that its templates could be rendered from")
        return TemplateSearch(known, load_templates(known, self.templates_file))

    @classmethod
    def load(
        cls, name_or_path: str | Path, objects: str | Path | None = None, *, require_weights: bool = True
    ) -> ModelBundle:
        """Read a bundle.

        Args:
            name_or_path: a folder, or the name of a bundle under one of `search_path`.
            objects: folder with the meshes ``obj_NNNNNN.ply``, for bundles that do not ship them.
            require_weights: whether missing weight files are an error (not so for training).

        Raises:
            BundleError: no such bundle, malformed YAML, missing weights or meshes.
            ConfigError: an option of ``bundle.yaml`` is unknown or out of range.
        """
        path = find_bundle(name_or_path)
        file = path / CONFIG_FILE
        try:
            values = read_yaml(file)
        except YamlFileError as error:
            raise BundleError(f"{file}: cannot be read ({error})") from error
        if not isinstance(values, Mapping):
            raise BundleError(f"{file}: is not a mapping of options")
        config = read_options(values, path)
        meshes = None if objects is None else Path(objects)
        bundle = cls(path, config, load_objects(config.objects, path, meshes, CONFIG_FILE), meshes)
        if require_weights:
            for weights in bundle.needed_weights:
                if not weights.is_file():
                    raise BundleError(f"{weights}: missing weight file; train it or fetch the bundle again")
        return bundle

    def build_segmenter(self, device: str = "cpu", inference: InferenceConfig | None = None) -> Segmenter:
        """The instance segmentation with its weights on `device`, run as `inference` (by default: the bundle's) says.

        Raises:
            BundleError: the weights are corrupt or of another network, or the backend is not installed.
            ConfigError: the engine asked for is not there.
        """
        from .segmenters import build_segmenter

        return build_segmenter(self, device, inference or self.config.inference)

    @property
    def crop_weights(self) -> Path:
        """Weights file of the embedding of a gallery's crops; a bundle need not have one."""
        return self.path / "crops.safetensors"

    def build_crop_embedding(self, device: str = "cpu") -> AppearanceEmbedding | None:
        """The embedding of a gallery's crops with its weights on `device`, or None where the bundle has none.

        Raises:
            BundleError: the file is corrupt, or was trained on the features of another detector.
        """
        return build_embedding(self, self.crop_weights, "train gallery", device)

    def build_appearance(self, device: str = "cpu") -> AppearanceEmbedding | None:
        """The identity embedding with its weights on `device`, or None where the bundle has none.

        Raises:
            BundleError: the file is corrupt, or was trained on the features of another detector.
        """
        return build_embedding(self, self.appearance_weights, "train appearance", device)

    def build_pose_estimator(self, device: str = "cpu", inference: InferenceConfig | None = None) -> PoseEstimator:
        """The poses of the objects with a shape, by weights on `device` run as `inference` (else: the bundle) says.

        Raises:
            BundleError: the weights are corrupt, or of another network or number of objects.
            ConfigError: the engine asked for is not there.
        """
        from .pose_stages import build_pose_estimator

        return build_pose_estimator(self, device, inference or self.config.inference)

    def build_pose_stage(self, device: str = "cpu", inference: InferenceConfig | None = None) -> OwnStage:
        """The pose stage of all objects: those with a shape get poses, and a scale where asked for, the others boxes.

        Raises:
            BundleError: as `build_pose_estimator`.
            ConfigError: as there, or scales are to be estimated without meshes.
        """
        from .pose_stages import build_pose_stage

        return build_pose_stage(self, device, inference or self.config.inference)
