"""How soon training gets anywhere, in CPU-seconds of one thread, beside published code and tuned ALS."""
