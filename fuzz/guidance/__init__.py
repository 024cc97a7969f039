"""Coverage guidance: what makes a program interesting, and the pool of those that were."""
