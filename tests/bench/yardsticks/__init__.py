"""What Bokgu is measured beside: others that make the same writes on the same API server."""
