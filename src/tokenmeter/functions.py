"""The function seam: functions that are model calls, and functions that run inside a block."""
