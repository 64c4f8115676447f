"""What every ROS node of the suite shares: parameters from tables, QoS profiles, message conversions, start and stop."""
