"""The ways in which labelled pictures are kept, a module for each; `read_splits` finds out which it is."""
