"""What keeps the operator running: the informer, the store, the queue, the workers and the health server."""
