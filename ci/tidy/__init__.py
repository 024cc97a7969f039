"""Rules on the tree itself that other linters cannot see."""
