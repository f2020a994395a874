"""Where runs run; the only code with side effects on a cluster. For workers, the gateway and log readers."""
