"""The chunk controller: what is sent to the robot at every tick."""
