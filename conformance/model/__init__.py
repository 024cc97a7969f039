"""The reference model: what a kernel may answer. Pure, deterministic, reads nothing itself."""
