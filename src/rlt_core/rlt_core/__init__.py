"""The RL Token method as plain numpy and torch objects, without any ROS import.

The ROS nodes and the in-process runner use the same objects from here: the code that is tested and
tuned without ROS is the code that runs on the robot. Import the modules by name; this package
imports nothing itself, so a control process does not load torch.
"""
