"""Kernels for guests: what there is to build, from which sources, and where builds are kept."""
