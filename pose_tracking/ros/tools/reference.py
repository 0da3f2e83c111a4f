"""Markdown tables of the node's topics, services and parameters, made from what the node is built of.

``python -m pose_tracking.ros.tools.reference`` prints them; with ``--write docs/ros-reference.md`` it replaces what
stands between the markers in that file. Needs no ROS.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from pose_tracking.core.errors import ConfigError
from pose_tracking.core.files import write_text
from pose_tracking.ros.node.parameters import GROUPS, PARAMETERS, Parameter, camera_topics

BEGIN, END = "<!-- reference:begin -->", "<!-- reference:end -->"

PUBLISHED = (
    (
        "`~/objects`",
        "`pose_tracking/TrackedObjectArray`",
        "every track: class, track ID, pose with covariance, velocity, size, scores, box, state and age",
    ),
    (
        "`~/events`",
        "`pose_tracking/TrackEventArray`",
        "what has become certain with the frame (moved, placed, fell, ...) and what each object does",
    ),
    (
        "`~/detections_3d`",
        "`vision_msgs/Detection3DArray`",
        "confirmed objects in view, `id` = track ID; where vision_msgs is installed",
    ),
    ("`/tf`", "`tf2_msgs/TFMessage`", "`<class>_<id>` of every confirmed object in view"),
    ("`~/markers`", "`visualization_msgs/MarkerArray`", "mesh (a box where there is none), axes, label and trail"),
    (
        "`~/image_annotated`",
        "`sensor_msgs/Image`",
        "the colour image with the results drawn in; made only while someone listens",
    ),
    (
        "`~/crops`",
        "`pose_tracking/TrackCropArray`",
        "pictures of tracked objects with the background made transparent, better than those before or unlike them, "
        "and a small picture of the frame; made only while someone listens",
    ),
    (
        "`/diagnostics`",
        "`diagnostic_msgs/DiagnosticArray`",
        "once a second: rate, latency per stage, drops with the reason, silent topics with the likely cause",
    ),
)
SERVICES = (
    ("`~/enable`", "`std_srvs/SetBool`", "pause (false) or resume (true) the tracking"),
    ("`~/reset_tracks`", "`std_srvs/Trigger`", "forget all tracks; IDs start from 1 again"),
)


def reference() -> str:
    """The whole section."""
    topics = camera_topics({name: parameter.default for name, parameter in PARAMETERS.items()})
    subscribed = (
        (f"`{topics['color']}`", "`sensor_msgs/Image`", PARAMETERS["color_topic"].help),
        (f"`{topics['depth']}`", "`sensor_msgs/Image`", PARAMETERS["depth_topic"].help),
        (f"`{topics['camera_info']}`", "`sensor_msgs/CameraInfo`", PARAMETERS["camera_info_topic"].help),
        (
            "`/tf`, `/tf_static`",
            "`tf2_msgs/TFMessage`",
            "only where `output_frame` or `fixed_frame` is set",
        ),
    )
    head = ("topic", "type", "what")
    parts = [
        "## Subscribed topics\n",
        _table(head, subscribed),
        "\n## Published topics\n",
        "All have the stamp of the colour image, and its frame unless `output_frame` is set.\n",
        _table(head, PUBLISHED),
        "\n## Services\n",
        "Beside those of every lifecycle node.\n",
        _table(("service", "type", "what"), SERVICES),
        "\n## Parameters",
    ]
    for title, parameters in GROUPS.items():
        parts.append(f"\n**{title}**\n")
        rows = [(f"`{p.name}`", p.kind, f"`{_default(p)}`", p.limits, p.change, _sentence(p)) for p in parameters]
        parts.append(_table(("parameter", "type", "default", "range", "may change", "what"), rows))
    return "\n".join(parts) + "\n"


def updated(text: str, where: str) -> str:
    """`text` with the present reference between its markers.

    Raises:
        ConfigError: it has no markers; `where` is what the text is called.
    """
    begin, end = text.find(BEGIN), text.find(END)
    if begin < 0 or end < begin:
        raise ConfigError(f"{where}: has no {BEGIN} ... {END}")
    return f"{text[: begin + len(BEGIN)]}\n\n{reference()}\n{text[end:]}"


def main(arguments: list[str] | None = None) -> int:
    """Print the reference, or write it into a file."""
    parser = argparse.ArgumentParser(description="Tables of the node's topics, services and parameters.")
    parser.add_argument("--write", metavar="FILE", type=Path, help="replace the part between the markers of this file")
    options = parser.parse_args(arguments)
    if options.write is None:
        print(reference(), end="")
        return 0
    try:
        write_text(options.write, updated(options.write.read_text(encoding="utf-8"), str(options.write)))
    except (ConfigError, OSError) as error:
        print(f"reference: error: {error}", file=sys.stderr)
        return 2
    return 0


def _default(parameter: Parameter) -> str:
    if isinstance(parameter.default, bool):
        return str(parameter.default).lower()
    if isinstance(parameter.default, tuple):
        return str(list(parameter.default))
    return f'"{parameter.default}"' if isinstance(parameter.default, str) else str(parameter.default)


def _sentence(parameter: Parameter) -> str:
    return (parameter.help[0].upper() + parameter.help[1:]).replace("|", "\\|").replace("<", "&lt;")


def _table(head: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> str:
    lines = [head, tuple("---" for _ in head), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


if __name__ == "__main__":
    sys.exit(main())
