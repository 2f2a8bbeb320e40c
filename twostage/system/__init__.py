"""The operating system: files, locks, output, provenance; nothing of VAEs."""
