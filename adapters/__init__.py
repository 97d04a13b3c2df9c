"""The gated adapter: content embeddings into the frozen backbone's own vector space."""
