"""The pipeline's stages: each reads its dependencies, calls the library and writes its outputs."""
