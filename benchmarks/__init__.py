"""The figures that nexus states, measured: ``python -m benchmarks``. See README.md beside this file."""
