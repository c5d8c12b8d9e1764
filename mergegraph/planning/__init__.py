"""Planning: recipes compiled to one plan."""
