"""Routes, one module a subject. Each is thin: it reads, asks the service, and answers."""
