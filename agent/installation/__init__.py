"""What belongs to an installed agent: man pages, completion, the files that `setup` writes."""
