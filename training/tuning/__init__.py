"""Search for better settings of a preset."""
