"""A family that lives outside nexus, as small as one can be; it has no paper."""
