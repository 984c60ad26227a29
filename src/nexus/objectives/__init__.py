"""What is minimised in self-supervised and supervised training; an objective wraps a model, never lives in one."""
