"""What is changed inside of Berth's processes for an experiment; the product itself has no such switches."""
