"""What changed between two kernels, whether that was expected, and where it came in."""
