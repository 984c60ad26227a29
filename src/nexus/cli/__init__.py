"""The command line, generated from the verbs; what is printed, and where."""
