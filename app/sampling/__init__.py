"""Seeds, latents and paths between latents. Needs numpy alone."""
