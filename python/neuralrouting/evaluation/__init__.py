"""How good the layers that judge are, measured on labelled rows."""
