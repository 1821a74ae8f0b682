"""The rules of the diagnosis, by what they look at. Each takes the case and names a cause, or says nothing."""
