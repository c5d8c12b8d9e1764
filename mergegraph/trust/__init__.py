"""Trust: results checked, found again, made again and published."""
