"""Unit tests of fuzz."""
