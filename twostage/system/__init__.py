"""The operating system: files, locks, output, provenance. Nothing here knows of VAEs."""
