"""Unit tests of ci."""
