"""Energy windows for training loops that are not the harness': one thin file a framework."""
