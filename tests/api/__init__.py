"""Tests through the application, without a socket."""
