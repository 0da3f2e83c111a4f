"""The benchmark of the gallery finds what a full scan finds, and states all its figures."""

from __future__ import annotations

from pose_tracking.benchmarks.gallery import GalleryBenchmarkConfig, format_gallery, run_gallery_benchmark


def test_a_small_gallery() -> None:
    data = run_gallery_benchmark(GalleryBenchmarkConfig(sightings=600, dimensions=8, cameras=3, queries=4))
    assert data["same_as_numpy"]
    assert data["ratio_filtered"] > 0
    assert set(data["ms"]) == {
        "filtered", "all", "numpy_filtered", "numpy_all", "page of identities", "page of identities, filtered",
    }  # fmt: skip
    text = format_gallery(data)
    assert "600 sightings x 8" in text
    assert "NOT" not in text
