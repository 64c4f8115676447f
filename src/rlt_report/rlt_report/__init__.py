"""What a run came to: its report, and its log as a file for Foxglove."""
