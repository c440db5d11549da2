"""A world for the tests to break: a disk that crashes, an adversary who keeps everything."""
