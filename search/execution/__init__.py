"""How trials are run: here or on Ray, and the loop that hands them out until the end."""
