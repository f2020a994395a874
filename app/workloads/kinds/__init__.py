"""One module for each kind of work. Kinds do not know each other."""
