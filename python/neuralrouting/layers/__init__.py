"""The layers of the product, one file each; none imports another."""
