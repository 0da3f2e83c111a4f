"""The ROS 2 side: the only room that may import rclpy and message packages."""
