"""The artifact on disk: manifest, files, checksums; a store of them."""
