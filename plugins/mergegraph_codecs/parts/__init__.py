"""What codecs have in common."""
