"""The RL Token method as plain numpy and torch objects, without any ROS import.

The ROS nodes and the in-process runner drive the same objects from here, so that what is tested
and tuned without ROS is what runs on the robot. Import the modules by name; this package imports
nothing by itself, so that a control process does not pay for torch.
"""
