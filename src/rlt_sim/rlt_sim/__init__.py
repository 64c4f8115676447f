"""A MuJoCo robot that looks like a robot driver: tasks, demonstrator, simulator node."""
