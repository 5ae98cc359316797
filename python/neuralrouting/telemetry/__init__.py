"""What the gateway tells of itself: metrics of all workers, traces, logs."""
