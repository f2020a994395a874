"""Bytes: logs and objects."""
