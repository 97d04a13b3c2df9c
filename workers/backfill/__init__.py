"""Bulk loads behind what is posted: looked through, costed, then accepted a chunk at a time."""
