"""What works in the background: Celery tasks of a few lines, and the controller's leased loops."""
