"""What the tests of this package share."""

from recorded_run import commits, contract, write_log

__all__ = ["commits", "contract", "write_log"]
