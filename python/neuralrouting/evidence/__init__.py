"""What comparisons of answers prove: ridge regression, cells, drift, thresholds. Pure arithmetic over numpy arrays."""
