"""Unit tests of conformance."""
