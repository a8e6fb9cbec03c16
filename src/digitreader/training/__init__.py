"""Data, networks, recipes and exports: all that makes a model, nothing that reads with one."""
