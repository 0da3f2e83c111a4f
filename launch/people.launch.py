"""Starts the tracker node with a bundle of things without meshes, people for example, and RViz with their boxes.

    pose-tracking new-model --from-detector onnx yolo11n.onnx --classes person --out models/people
    ros2 launch pose_tracking people.launch.py model:=models/people camera:=realsense

All arguments of tracker.launch.py serve here, too; only these defaults differ.
"""

from launch.actions import DeclareLaunchArgument, IncludeLaunchDescription
from launch.launch_description_sources import PythonLaunchDescriptionSource
from launch.substitutions import LaunchConfiguration

from launch import LaunchDescription
from pose_tracking.core.paths import share_file

DEFAULTS = (
    ("model", "people", "bundle made with `pose-tracking new-model --from-detector`: its name or folder"),
    ("rviz", "true", "whether to start RViz"),
)


def generate_launch_description():
    """Launch description of the tracker with other defaults."""
    arguments = [DeclareLaunchArgument(name, default_value=value, description=text) for name, value, text in DEFAULTS]
    tracker = IncludeLaunchDescription(
        PythonLaunchDescriptionSource(str(share_file("launch", "tracker.launch.py"))),
        launch_arguments=[(name, LaunchConfiguration(name)) for name, _, _ in DEFAULTS],
    )
    return LaunchDescription([*arguments, tracker])
