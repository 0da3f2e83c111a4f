"""The objects of `block_scenes` with their templates, rendered once for all tests of a process."""

from __future__ import annotations

import tempfile
from functools import cache
from pathlib import Path

from block_scenes import write_objects

from pose_tracking.objects import ObjectSet
from pose_tracking.templates.search import TemplateSearch
from pose_tracking.templates.templates import Templates, make_templates

COUNT = 300  # fewer than a bundle has: the tests' objects are far from alike


@cache
def block_objects() -> ObjectSet:
    return write_objects(Path(tempfile.mkdtemp(prefix="pose_tracking_blocks_")))


@cache
def block_templates() -> dict[int, Templates]:
    return {obj_id: make_templates(model, COUNT) for obj_id, model in block_objects().items()}


def block_search() -> TemplateSearch:
    """A search of its own; what is remembered of frames is not shared."""
    return TemplateSearch(block_objects(), block_templates())
