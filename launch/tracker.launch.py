"""Starts the tracker node with a camera preset; optionally RViz and the replay of a bag."""

from launch.actions import (
    DeclareLaunchArgument,
    EmitEvent,
    ExecuteProcess,
    OpaqueFunction,
    SetEnvironmentVariable,
)
from launch.events import Shutdown
from launch.substitutions import LaunchConfiguration
from launch_ros.actions import Node

from launch import LaunchDescription
from pose_tracking.core.threads import wait_variables
from pose_tracking.ros.node.dds_profile import image_profile
from pose_tracking.ros.node.parameters import PARAMETERS
from pose_tracking.ros.tools.process import camera_preset, camera_presets, replay_command
from pose_tracking.ros.tools.rviz import rviz_file

ARGUMENTS = (
    ("model", "demo", PARAMETERS["model"].help),
    ("objects", "", PARAMETERS["objects"].help),
    ("camera", "default", f"camera preset ({', '.join(camera_presets())}) or a parameter file"),
    ("lambda", "", "share of motion in the association cost, 0 to 1; empty: what the model bundle says"),
    ("motion", "", "what motion compares: box, pose or both; empty: what the model bundle says"),
    (
        "segment_every",
        "",
        "run the detector on every n-th frame, 0: as often as there is time; empty: what the model bundle says",
    ),
    ("fixed_frame", "", PARAMETERS["fixed_frame"].help),
    ("device", "auto", PARAMETERS["device"].help),
    ("engine", "", "auto, torch, openvino or onnxruntime; empty: what the model bundle says"),
    ("precision", "", "auto, fp32, bf16 or int8; empty: what the model bundle says"),
    ("clip_network", "", PARAMETERS["clip_network"].help),
    ("threads", "0", PARAMETERS["threads"].help),
    ("rviz", "false", "whether to start RViz"),
    ("camera_frame", "", "frame of the colour image, for RViz; empty: that of the preset's driver"),
    ("bag", "", "bag to replay into the node; empty: none"),
    ("rate", "1.0", "speed of the replay"),
    ("autostart", "true", "configure and activate at once"),
    ("log_level", "info", "log level of the node"),
)
ALWAYS = ("model", "objects", "device", "threads", "autostart")
WHERE_GIVEN = ("lambda", "motion", "segment_every", "fixed_frame", "engine", "precision", "clip_network")


def start(context):
    """The processes for the arguments given."""
    value = {name: LaunchConfiguration(name).perform(context) for name, _, _ in ARGUMENTS}
    parameters = {name: PARAMETERS[name].parse(value[name]) for name in ALWAYS}
    for name in WHERE_GIVEN:
        if value[name]:
            parameters[name] = PARAMETERS[name].parse(value[name])
    preset = camera_preset(value["camera"])
    actions = [
        Node(
            package="pose_tracking",
            executable="tracker_node",
            name="tracker",
            output="screen",
            parameters=[str(preset), parameters],
            arguments=["--ros-args", "--log-level", f"tracker:={value['log_level']}"],
            on_exit=[EmitEvent(event=Shutdown(reason="the tracker node has ended"))],
        )
    ]
    if value["bag"]:
        actions.append(ExecuteProcess(cmd=replay_command(value["bag"], value["rate"]), output="screen"))
    if value["rviz"].lower() in ("true", "1"):
        rviz = rviz_file(preset, parameters, value["camera_frame"])
        actions.append(Node(package="rviz2", executable="rviz2", arguments=["-d", str(rviz)], output="log"))
    return actions


def generate_launch_description():
    """Launch description of the tracker."""
    variables = {**image_profile(), **wait_variables()}
    environment = [SetEnvironmentVariable(name, value) for name, value in variables.items()]
    arguments = [
        DeclareLaunchArgument(name, default_value=default, description=text) for name, default, text in ARGUMENTS
    ]
    return LaunchDescription([*arguments, *environment, OpaqueFunction(function=start)])
