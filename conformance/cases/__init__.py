"""Cases for kernels: each fails for a kernel that is wrong. Tests of this suite itself are not
here but in conformance/tests."""
