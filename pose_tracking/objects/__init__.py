"""The known objects: meshes, diameters, symmetries, with unit checks."""

from .mesh import Mesh, load_mesh
from .object_set import ObjectModel, ObjectSet
from .symmetry import symmetry_transforms

__all__ = ["Mesh", "ObjectModel", "ObjectSet", "load_mesh", "symmetry_transforms"]
