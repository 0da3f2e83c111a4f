"""The benchmark of the gallery finds what a full scan finds, and states all its figures."""

from __future__ import annotations

import pytest

from pose_tracking.benchmarks.gallery import GalleryBenchmarkConfig, format_gallery, run_gallery_benchmark
from pose_tracking.core.errors import ConfigError, StoreError
from pose_tracking.gallery.postgres_schema import is_postgres
from pose_tracking.gallery.stores import open_reader, open_store


def test_a_small_gallery(place: str) -> None:
    config = GalleryBenchmarkConfig(sightings=600, dimensions=8, cameras=3, queries=4)
    url = place if is_postgres(place) else None
    data = run_gallery_benchmark(config, url)
    assert data["same_as_numpy"]
    assert data["ratio_filtered"] > 0
    assert set(data["ms"]) == {
        "filtered", "all", "numpy_filtered", "numpy_all", "page of identities", "page of identities, filtered",
    }  # fmt: skip
    text = format_gallery(data)
    assert "600 sightings x 8" in text
    assert "NOT" not in text
    if url is not None:
        with pytest.raises(StoreError, match="holds no gallery"):
            open_reader(url)
        open_store(url, make=True).close()
        with pytest.raises(ConfigError, match="holds a gallery: name a data base that is empty"):
            run_gallery_benchmark(config, url)
