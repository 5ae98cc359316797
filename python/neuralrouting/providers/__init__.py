"""Ways to reach models."""
