"""Flux's kustomize-controller as a process: built once, run beside a control plane, fed from a Git repository."""
