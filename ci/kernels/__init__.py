"""Kernels to test: where from, how configured."""
