"""Whether served rows are still like those of the calibration."""
