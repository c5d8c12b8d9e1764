"""What generations come to: searches on fine-tunes of the demo family, with several seeds."""
