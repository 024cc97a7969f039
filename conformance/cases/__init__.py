"""Cases for kernels: each fails for a kernel that is wrong. Tests of this suite are in conformance/tests."""
