"""The `ros2` command for machines whose ROS 2 comes from Python wheels."""
