"""Wire types, one file per noun: what a body must look like, and what the documentation says of answers."""
