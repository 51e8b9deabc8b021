"""Many runs as one: a grid becomes cells, an engine measures those that are not done, each cell is a record."""
