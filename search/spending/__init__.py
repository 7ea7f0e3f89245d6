"""What a search costs: seconds, money and bytes taken and still to come, and when that ends it."""
