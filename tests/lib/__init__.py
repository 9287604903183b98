"""The tests' surroundings: private mail servers, sample mail, a counting proxy, mounts."""
