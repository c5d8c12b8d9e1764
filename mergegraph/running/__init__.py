"""Running: a schedule carried out strip by strip."""
