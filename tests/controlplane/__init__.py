"""A local Kubernetes control plane of real programs: etcd, kube-apiserver, kube-controller-manager and kubectl."""

from tests.controlplane.cluster import ControlPlane
from tests.controlplane.process import Process
from tests.controlplane.programs import Programs, ProgramsError, find_or_build
from tests.controlplane.server import Server, StartError

__all__ = ["ControlPlane", "Process", "Programs", "ProgramsError", "Server", "StartError", "find_or_build"]
