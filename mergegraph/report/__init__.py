"""Reports: what is known of a merge as one HTML page, pictures first."""
