"""The operator's image: made of Debian's packages where no registry is at hand, and run as Kubernetes runs it."""
