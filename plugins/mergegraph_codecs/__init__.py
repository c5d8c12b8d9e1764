"""The codecs that come with mergegraph, each a plugin of its own."""
