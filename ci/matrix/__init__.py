"""What really happens: every advice on every kind of VMA, on one kernel after the other."""
