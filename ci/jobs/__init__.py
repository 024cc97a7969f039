"""What a CI runs: on a change, every night, and between the kernels of a tree."""
