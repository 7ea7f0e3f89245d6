"""What can vary: domains, trees of domains, and the default space of each family. Knows neither torch nor Ray."""
