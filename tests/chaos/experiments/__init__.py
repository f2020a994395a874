"""The experiments, by what is broken."""
