"""A test of whether served rows are still like the calibration rows."""
