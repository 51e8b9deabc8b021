"""Speed: each benchmark does the same work in two ways, in one process, on the same inputs."""
