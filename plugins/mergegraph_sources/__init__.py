"""The sources of models that come with mergegraph, each a plugin of its own."""
