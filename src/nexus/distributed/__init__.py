"""One model on several processes: launched, sharded and saved from outside; no model knows of it."""
