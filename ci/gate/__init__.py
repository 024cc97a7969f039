"""Compares runs and decides."""
