"""What outlives a version, a cluster or a process: objects of earlier releases, backups, two versions side by side."""
