"""The catalogues of texts; see update.py."""
