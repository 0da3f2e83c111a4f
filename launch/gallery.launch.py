"""Starts the gallery node, which keeps what the tracker nodes of several cameras see.

ros2 launch pose_tracking gallery.launch.py store:=gallery.db
ros2 launch pose_tracking gallery.launch.py cameras:=left,right camera_poses:=left=left.yaml,right=right.yaml
"""

from launch.actions import DeclareLaunchArgument, EmitEvent, OpaqueFunction
from launch.events import Shutdown
from launch.substitutions import LaunchConfiguration
from launch_ros.actions import Node

from launch import LaunchDescription
from pose_tracking.ros.gallery_node.parameters import GALLERY_PARAMETERS


def _text(value):
    return ",".join(value) if isinstance(value, tuple) else str(value)


def start(context):
    """The node, with the arguments that were given."""
    parameters = {}
    for name, parameter in GALLERY_PARAMETERS.items():
        text = LaunchConfiguration(name).perform(context)
        if text != _text(parameter.default):
            is_list = isinstance(parameter.default, tuple)
            value = parameter.coerce(text.split(",")) if is_list else parameter.parse(text)
            parameters[name] = list(value) if is_list else value
    return [
        Node(
            package="pose_tracking",
            executable="gallery_node",
            name="gallery",
            output="screen",
            parameters=[parameters],
            on_exit=[EmitEvent(event=Shutdown(reason="the gallery node has ended"))],
        )
    ]


def generate_launch_description():
    """Launch description of the gallery node; each of its parameters is an argument, lists with commas."""
    arguments = [
        DeclareLaunchArgument(name, default_value=_text(parameter.default), description=parameter.help)
        for name, parameter in GALLERY_PARAMETERS.items()
    ]
    return LaunchDescription([*arguments, OpaqueFunction(function=start)])
