"""Writing: results laid out, written, journalled and sealed."""
