"""Kinds of work and their pure translation into what a cluster starts. No I/O."""
