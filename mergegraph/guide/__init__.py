"""The guide: what there is to know of installed methods, as text and as pages."""
