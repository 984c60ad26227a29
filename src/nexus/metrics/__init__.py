"""Thin, typed doors to the field's own metric libraries; own code only where none exists."""
