"""Values that stages of the fleet share, and the formats of what arrives."""
