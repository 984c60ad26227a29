"""Learning from labelled pictures: the loop and what it is made of. What is minimised is in `nexus.objectives`."""
