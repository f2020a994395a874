"""What Berth does by itself: tasks, and the loops of the controller."""
