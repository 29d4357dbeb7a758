"""State that outlives the process: ordered keys in typed spaces (Store) and big immutable bodies (Blobs)."""
