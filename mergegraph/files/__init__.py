"""Files: models on disk or elsewhere, known by their headers and read in strips."""
