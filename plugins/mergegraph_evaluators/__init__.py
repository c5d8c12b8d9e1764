"""The bundled evaluators: plugins like everyone's, one file each."""
