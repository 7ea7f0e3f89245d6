"""Pictures of one thing: near-copies are found and united into groups, counted where a split tears them apart, and told by a user's table."""
