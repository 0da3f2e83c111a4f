"""The parameters of the node as data: type, range, meaning and when each may change. Knows no ROS."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from pose_tracking.bundles.runtime_options import RUNTIME_OPTIONS
from pose_tracking.core.config import in_numbers
from pose_tracking.core.errors import ConfigError
from pose_tracking.core.images import MILLIMETRE
from pose_tracking.networks.engines.config import ENGINES, PRECISIONS, help_of

RUNTIME = "any time"
UNCONFIGURED = "while unconfigured"
READ_ONLY = "at start"

_KINDS = {bool: "bool", int: "integer", float: "double", str: "string", tuple: "string[]"}


@dataclass(frozen=True)
class Parameter:
    """One parameter of the node.

    Attributes:
        name: ROS name.
        default: default value; its Python type fixes the ROS type (a tuple is a string array).
        help: one sentence for people.
        change: when it may be set: `RUNTIME`, `UNCONFIGURED` or `READ_ONLY`.
        unit: SI unit or "".
        range: inclusive limits of a number.
        choices: allowed values of a string.
        option: name of the run-time option of `PoseTracker` behind it, or None.
        formerly: its name in the version before, still taken; "" where it is the same.
        words: what may be said in place of a number, and which one it stands for.
    """

    name: str
    default: Any
    help: str
    change: str = UNCONFIGURED
    unit: str = ""
    range: tuple[float, float] | None = None
    choices: tuple[str, ...] | None = None
    option: str | None = None
    formerly: str = ""
    words: Mapping[str, int] = field(default_factory=dict)

    @property
    def kind(self) -> str:
        """ROS type name."""
        return _KINDS[type(self.default)]

    @property
    def limits(self) -> str:
        """Range or choices for people, "" where there are none."""
        if self.range is not None:
            return f"{self.range[0]:g} to {self.range[1]:g}" + (f" {self.unit}" if self.unit else "")
        return ", ".join(self.choices) if self.choices else ""

    def coerce(self, value: Any) -> Any:
        """`value` as the parameter's type, checked; int widens to float, a list becomes a tuple without empty strings.

        Raises:
            ConfigError: wrong type or out of range.
        """
        kind = type(self.default)
        value = in_numbers(value, {"words": self.words})
        if kind is float and isinstance(value, int) and not isinstance(value, bool):
            value = float(value)
        if kind is tuple and not isinstance(value, str) and isinstance(value, Iterable):
            value = tuple(value)
            if not all(isinstance(entry, str) for entry in value):
                raise ConfigError(f"parameter {self.name} = {list(value)!r} is not a list of strings")
            value = tuple(entry for entry in value if entry)
        if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
            raise ConfigError(f"parameter {self.name} = {value!r} is not of type {self.kind}")
        if self.range is not None and not self.range[0] <= value <= self.range[1]:
            raise ConfigError(f"parameter {self.name} = {value!r} is outside {self.limits}")
        if self.choices is not None and value not in self.choices:
            raise ConfigError(f"parameter {self.name} = {value!r} is not one of {', '.join(self.choices)}")
        return value

    def parse(self, text: str) -> Any:
        """The value that `text` (YAML, as on a command line) stands for.

        Raises:
            ConfigError: not of the parameter's type or out of range.
        """
        import yaml

        if isinstance(self.default, str):
            return self.coerce(text)
        try:
            return self.coerce(yaml.safe_load(text))
        except yaml.YAMLError:
            raise ConfigError(f"parameter {self.name} = {text!r} is not of type {self.kind}") from None


_MODEL = (
    Parameter("model", "demo", "name or folder of the model bundle"),
    Parameter("objects", "", "folder with the meshes of a bundle that does not ship them; empty: the bundle's own"),
    Parameter(
        "device", "auto", 'torch device of the networks, e.g. "cpu" or "cuda:0"; "auto" takes a GPU where there is one'
    ),
    Parameter("engine", "auto", f"{help_of('engine')}; not stated: what the bundle says", choices=ENGINES),
    Parameter("precision", "auto", f"{help_of('precision')}; not stated: what the bundle says", choices=PRECISIONS),
    Parameter(
        "clip_network",
        "",
        "network that looks at clips of the tracks beside the event rules: a file of the bundle (of demo: "
        "clips.safetensors) or a whole path; empty: what the bundle says",
    ),
    Parameter(
        "threads",
        0,
        "CPU threads of the networks and of image processing; 0: as many as there are cores for this process, or "
        "what OMP_NUM_THREADS says",
        range=(0, 1024),
    ),
    Parameter(
        "look_ahead",
        True,
        "while a frame is in the works the detector looks at the next in a thread, and where more wait at up to "
        "three: more frames per second with the same results; of a free core each half of the stages takes its share. "
        "Not with a single core, not where the detector does not run on that frame",
    ),
    Parameter("classes", (), "track only these classes; empty: all of the bundle", change=RUNTIME),
    Parameter("autostart", False, "configure and activate without being told (the launch file says true)", READ_ONLY),
)
_INPUT = (
    Parameter("camera", "/camera", "namespace of the camera, put before topic names that do not begin with /"),
    Parameter("color_topic", "color/image_raw", "colour image (8-bit rgb8, bgr8, rgba8, bgra8, mono8, ...)"),
    Parameter(
        "depth_topic", "depth/image_raw", "depth image aligned to the colour image (16UC1 in mm or 32FC1 in m)"
    ),
    Parameter("camera_info_topic", "color/camera_info", "calibration of the colour camera"),
    Parameter(
        "color_transport",
        "raw",
        "raw image, or sensor_msgs/CompressedImage on <topic>/compressed",
        choices=("raw", "compressed"),
    ),
    Parameter(
        "depth_transport",
        "raw",
        "raw image, or sensor_msgs/CompressedImage on <topic>/compressedDepth",
        choices=("raw", "compressedDepth"),
    ),
    Parameter(
        "depth_unit",
        MILLIMETRE,
        "what one unit of a 16-bit depth image (16UC1) is, where the camera does not publish millimetres (0.0001: "
        "tenths); float images are metres in any case",
        unit="m",
        range=(1e-6, 1.0),
    ),
    Parameter("rectified", False, "images are rectified already: use P of camera_info and no lens distortion"),
    Parameter(
        "qos_reliability",
        "best_effort",
        "reliability asked of the image publishers; best_effort (sensor data) takes either kind",
        choices=("best_effort", "reliable"),
    ),
    Parameter("qos_depth", 5, "messages of a topic the middleware keeps for the node", range=(1, 100)),
    Parameter("sync_slop", 0.02, "largest difference of the stamps of a colour and a depth image", unit="s",
              range=(0.0, 1.0)),
    Parameter("sync_queue", 10, "images of one topic that may wait for their partner", range=(1, 100)),
    Parameter(
        "max_waiting",
        4,
        "frames that wait at most while another is in the works, so that those which come during a slow one are done "
        "after it, one by one, and not lost; only while frames can be done faster than they come, on average: where "
        "just as fast two wait, else the newest alone",
        unit="frames",
        range=(1, 100),
    ),
    Parameter(
        "follow_overtaken",
        True,
        "frames that newer ones would overtake are not dropped but tracked without the detector, on the depth, as are "
        "those between two runs of it (segment_every): up to max_waiting at once, where something is tracked, and all "
        "of it has a mesh",
    ),
)  # fmt: skip
_OUTPUT = (
    Parameter(
        "output_frame",
        "",
        "frame the results are given in, through TF; empty: that of the colour image. Velocities are turned into its "
        "axes and are those against fixed_frame",
    ),
    Parameter(
        "fixed_frame",
        "",
        "frame that does not move (map, base_link): the camera's pose in it, through TF, lets tracks hold still while "
        "the camera moves, and velocities are those against it; empty: output_frame, and without that the camera is "
        "taken to stand still",
    ),
    Parameter("tf_timeout", 0.1, "how long a frame waits for its transform", unit="s", range=(0.0, 5.0)),
    Parameter("publish_tf", True, "publish TF <class>_<id> of every confirmed object seen in the frame"),
    Parameter("publish_markers", True, "publish RViz markers"),
    Parameter("crop_period", 0.5, "least time between two messages of ~/crops, which a gallery keeps", unit="s",
              range=(0.0, 3600.0)),
    Parameter("trail_length", 50, "positions in the trail of a marker", unit="frames", range=(0, 10000)),
    Parameter("silence_warning", 2.0, "silence of an input topic after which a warning names it", unit="s",
              range=(0.1, 3600.0)),
)  # fmt: skip


def _options() -> tuple[Parameter, ...]:
    """The options of the pipeline that may change while it runs."""
    return tuple(
        Parameter(
            "lambda" if option.name == "motion_weight" else option.name,
            option.default,
            option.help,
            change=RUNTIME,
            unit=option.unit,
            range=option.range,
            choices=option.choices,
            option=option.name,
            formerly=option.formerly,
            words=option.words,
        )
        for option in RUNTIME_OPTIONS.values()
    )


GROUPS: dict[str, tuple[Parameter, ...]] = {
    "Model": _MODEL,
    "Thresholds (default: what the bundle says)": _options(),
    "Input": _INPUT,
    "Output": _OUTPUT,
}
PARAMETERS: dict[str, Parameter] = {p.name: p for group in GROUPS.values() for p in group}
# Names of the version before, still taken, to those of today.
FORMER_NAMES = {p.formerly: p.name for p in PARAMETERS.values() if p.formerly}


def renamed(former: str) -> str:
    """What to tell those who use the name of the version before."""
    return f"parameter {former} is now called {FORMER_NAMES[former]}; the old name goes with the next version"


def camera_topics(values: dict[str, Any]) -> dict[str, str]:
    """Full topic names of the inputs "color", "depth" and "camera_info" for these parameter values."""
    namespace = values["camera"].rstrip("/")
    topics = {}
    for key in ("color", "depth", "camera_info"):
        name = values[f"{key}_topic"]
        topics[key] = name if name.startswith(("/", "~")) or not namespace else f"{namespace}/{name}"
    if values["color_transport"] != "raw":
        topics["color"] += f"/{values['color_transport']}"
    if values["depth_transport"] != "raw":
        topics["depth"] += f"/{values['depth_transport']}"
    return topics
