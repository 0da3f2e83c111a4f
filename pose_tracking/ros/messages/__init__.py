"""Between ROS messages and the core's types; subscriptions and publishers."""
