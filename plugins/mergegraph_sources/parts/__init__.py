"""What sources are made of."""
