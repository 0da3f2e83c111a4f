"""The ROS 2 side: the only package that may import rclpy and message packages."""
