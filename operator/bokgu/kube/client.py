"""The few calls that the operator makes to the Kubernetes API."""

import asyncio
import base64
import json
import os
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from hashlib import sha256
from pathlib import Path
from typing import Any, Self

import aiohttp
from kubernetes.aio import client, config

from bokgu.api.meta import API_VERSION, EVENT_NOTE, GROUP, VERSION, Resource
from bokgu.api.plain_text import make_plain_lines
from bokgu.kube.shared_reads import SharedReads
from bokgu.metrics.passes import STATUS_WRITES

FIELD_MANAGER = "bokgu"
"""Who `managedFields` says has written what this client writes."""
REQUEST_TIMEOUT = 30
PAGE = 500
BAD_REQUEST = 400
BAD_ANSWER = "BadAnswer"
Raw = dict[str, Any]


class KubeError(Exception):
    """The API server said no, or nothing (status 0). `reason` is its one-word reason, such as Conflict."""

    def __init__(self, status: int, reason: str, message: str) -> None:
        super().__init__(f"{status or ''} {reason}: {message}".strip())
        self.status = status
        self.reason = reason

    @property
    def conflict(self) -> bool:
        """Whether somebody else wrote first: read and decide again."""
        return self.reason == "Conflict"

    @property
    def exists(self) -> bool:
        """Whether an object of that name is there already."""
        return self.reason == "AlreadyExists"

    @property
    def away(self) -> bool:
        """Whether the API server cannot do anything now: it is not reached, overloaded or in trouble."""
        return self.status in {0, 429} or self.status >= 500

    @property
    def gone(self) -> bool:
        """Whether there is no such object (any more)."""
        return self.status == 404


class KubeClient:
    """Calls to one API server, with the account of KUBECONFIG or of the pod."""

    def __init__(self, api: client.ApiClient, clock: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        self._api, self._clock = api, clock
        self._shared_gets = SharedReads(self._get)
        self._shared_reviews = SharedReads(self._review)
        self.clock_ahead = timedelta()
        """How far the API server's clock was ahead of ours in its last answer, to the second."""

    @classmethod
    async def connect(cls) -> Self:
        """A client with the account of KUBECONFIG, of ~/.kube/config or of the pod, the first that is there.

        Raises KubeError where none is.
        """
        settings = client.Configuration()
        file = _kubeconfig()
        # The client is generated without types.
        try:
            if file:
                await config.load_kube_config(file, client_configuration=settings)  # type: ignore[no-untyped-call]
            else:
                config.load_incluster_config(client_configuration=settings)  # type: ignore[no-untyped-call]
        except (config.ConfigException, OSError) as error:
            message = f"no access to a cluster ({error}): set KUBECONFIG, or run as a pod with a service account"
            raise KubeError(0, "NoAccount", message) from error
        return cls(client.ApiClient(settings))

    async def close(self) -> None:
        """Release the connections."""
        await self._api.close()  # type: ignore[no-untyped-call]  # as above

    async def get(self, plural: str, namespace: str, name: str) -> Raw | None:
        """One object of ours, or None."""
        return await self._get(f"{_path(plural, namespace)}/{name}")

    async def list(
        self,
        plural: str,
        namespace: str | None = None,
        *,
        where: Mapping[str, str] | None = None,
        unless: Iterable[tuple[str, str]] = (),
    ) -> AsyncIterator[Raw]:
        """All objects of a kind of ours; only those whose selectable fields are as in `where`, and none that has one of
        the values of `unless`."""
        terms = [f"{path}={value}" for path, value in (where or {}).items()]
        terms += [f"{path}!={value}" for path, value in unless]
        async for page in self.list_pages(plural, namespace, selector=",".join(terms)):
            for item in page["items"]:
                yield item

    async def list_pages(self, plural: str, namespace: str | None = None, *, selector: str = "") -> AsyncIterator[Raw]:
        """All objects of a kind that a fieldSelector selects, as lists of up to `PAGE`. All are of one moment, which
        their resourceVersion names (Kubernetes API Concepts, "Retrieving large results sets in chunks")."""
        query: dict[str, str] = {"limit": str(PAGE)}
        if selector:
            query["fieldSelector"] = selector
        while True:
            answer = await self._call("GET", _path(plural, namespace), query=query)
            yield answer
            if not (token := answer["metadata"].get("continue")):
                return
            query["continue"] = token

    async def create(self, plural: str, body: Raw) -> Raw:
        """POST an object of ours. Raises KubeError (`exists`) where the name is taken."""
        return await self._call("POST", _path(plural, body["metadata"]["namespace"]), body=body)

    async def replace(self, plural: str, body: Raw) -> Raw:
        """PUT an object of ours with its resourceVersion. Raises KubeError (`conflict`) where it has changed."""
        # Without managedFields the API server keeps its own (Kubernetes, "Server-Side Apply").
        metadata = {name: value for name, value in body["metadata"].items() if name != "managedFields"}
        return await self._call("PUT", _object_path(plural, body), body={**body, "metadata": metadata})

    async def delete(self, plural: str, body: Raw) -> None:
        """DELETE an object of ours as it was read; what it owns goes with it. One that is gone is no error.

        Raises KubeError (`conflict`) where it has changed.
        """
        metadata = body["metadata"]
        options = {
            "apiVersion": "v1",
            "kind": "DeleteOptions",
            "propagationPolicy": "Background",
            "preconditions": {"uid": metadata["uid"], "resourceVersion": metadata["resourceVersion"]},
        }
        try:
            await self._call("DELETE", _object_path(plural, body), body=options)
        except KubeError as error:
            if not error.gone:
                raise

    async def replace_status(self, plural: str, body: Raw, status: Mapping[str, Any]) -> Raw:
        """PUT the status of an object of ours, as it was read. Raises KubeError (`conflict`) where it has changed.

        Only what says which object and version it is goes with it: of all else the API server takes its own.
        """
        named = {name: body["metadata"][name] for name in ("name", "namespace", "uid", "resourceVersion")}
        part = {"apiVersion": API_VERSION, "kind": body["kind"], "metadata": named, "status": dict(status)}
        try:
            answer = await self._call("PUT", f"{_object_path(plural, body)}/status", body=part)
        except KubeError as error:
            STATUS_WRITES.labels(plural, error.reason).inc()
            raise
        STATUS_WRITES.labels(plural, "OK").inc()
        return answer

    async def create_event(
        self,
        about: Resource,
        *,
        reason: str,
        note: str,
        warning: bool,
        instance: str,
        at: datetime,
        series: bool = False,
    ) -> None:
        """Create an Event (events.k8s.io/v1) about an object of ours, of what happened `at`. Raises KubeError.

        Its name tells the object's version and the reason, so that a pass made twice tells once. With `series` it tells
        the words instead, and the same words again are counted in the series of the Event that is there.
        """
        metadata = about.metadata
        words = sha256(f"{metadata.uid} {reason} {note}".encode()).hexdigest()[:16]
        mark = words if series else f"{metadata.resource_version}.{reason.lower()}"
        event: Raw = {
            "apiVersion": "events.k8s.io/v1",
            "kind": "Event",
            "metadata": {
                "namespace": metadata.namespace,
                "name": f"{metadata.name[:180].rstrip('-.')}.{mark}",
            },
            "eventTime": at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
            "reportingController": f"{GROUP}/operator",
            "reportingInstance": instance[:128],
            "action": "Reconcile",
            "reason": reason,
            "type": "Warning" if warning else "Normal",
            "note": make_plain_lines(note).encode()[:EVENT_NOTE].decode(errors="ignore"),
            "regarding": {
                "apiVersion": API_VERSION,
                "kind": about.kind_name,
                "namespace": metadata.namespace,
                "name": metadata.name,
                "uid": metadata.uid,
                "resourceVersion": metadata.resource_version,
            },
        }
        path = f"/apis/events.k8s.io/v1/namespaces/{metadata.namespace}/events"
        try:
            await self._call("POST", path, body=event)
        except KubeError as error:
            if not error.exists:
                raise
            if series:
                await self._count_event(f"{path}/{event['metadata']['name']}", event["eventTime"])

    async def list_events(self, about: Resource) -> tuple[Raw, ...]:
        """The Events (events.k8s.io/v1) about an object that the API server still has, in no order: it keeps them for
        an hour, unless told otherwise (kube-apiserver, --event-ttl). Raises KubeError."""
        path = f"/apis/events.k8s.io/v1/namespaces/{about.metadata.namespace}/events"
        terms = f"regarding.uid={about.metadata.uid},reportingController={GROUP}/operator"
        answer = await self._call("GET", path, query={"fieldSelector": terms, "limit": str(PAGE)})
        return tuple(answer["items"])

    async def _count_event(self, path: str, at: str) -> None:
        """Say of an Event that is there that it was seen once more. One that has gone meanwhile is not told again."""
        found = await self._get(path)
        if found is not None:
            count = (found.get("series") or {"count": 1})["count"] + 1
            await self._call("PUT", path, body={**found, "series": {"count": count, "lastObservedTime": at}})

    async def may(
        self,
        user: str,
        groups: tuple[str, ...],
        *,
        namespace: str,
        verb: str,
        resource: str,
        name: str,
        group: str = GROUP,
    ) -> bool:
        """Whether a user may do that with a resource, also `name/subresource` (SubjectAccessReview). No namespace: in
        all of them; no name: with any.

        Raises KubeError, also where an authorizer could not tell.
        """
        review = {
            "apiVersion": "authorization.k8s.io/v1",
            "kind": "SubjectAccessReview",
            "spec": {
                "user": user,
                "groups": list(groups),
                "resourceAttributes": _attributes(group, namespace, verb, resource, name),
            },
        }
        answer = await self._shared_reviews.read(json.dumps(review))
        if error := answer["status"].get("evaluationError"):
            raise KubeError(0, "EvaluationError", f"whether {user} may {verb} {resource}/{name}: {error}")
        return bool(answer["status"].get("allowed", False))

    async def _review(self, review: str) -> Raw:
        return await self._call("POST", "/apis/authorization.k8s.io/v1/subjectaccessreviews", body=json.loads(review))

    async def may_i(self, *, namespace: str, verb: str, resource: str, name: str, group: str = GROUP) -> bool:
        """Whether this account may do that (SelfSubjectAccessReview); all else as in `may`. Raises KubeError."""
        review = {
            "apiVersion": "authorization.k8s.io/v1",
            "kind": "SelfSubjectAccessReview",
            "spec": {"resourceAttributes": _attributes(group, namespace, verb, resource, name)},
        }
        answer = await self._call("POST", "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews", body=review)
        return bool(answer["status"].get("allowed", False))

    async def config_map(self, namespace: str, name: str) -> Mapping[str, str] | None:
        """Data of a ConfigMap, or None."""
        found = await self._shared_gets.read(_config_map(namespace, name))
        return None if found is None else found.get("data", {})

    async def get_config_map(self, namespace: str, name: str) -> Raw | None:
        """A ConfigMap, or None."""
        return await self._get(_config_map(namespace, name))

    async def secret(self, namespace: str, name: str) -> Mapping[str, str] | None:
        """Data of a Secret as text, or None. Bytes that are none are left out. Raises KubeError, which shows nothing of
        it, and ValueError where it is no base64."""
        try:
            found = await self._get(f"/api/v1/namespaces/{namespace}/secrets/{name}")
        except KubeError as error:
            if error.reason == BAD_ANSWER:
                raise KubeError(error.status, BAD_ANSWER, f"Secret {namespace}/{name}") from None
            raise
        data = found.get("data") or {} if found else {}
        texts = {key: base64.b64decode(value).decode("utf-8", "ignore") for key, value in data.items()}
        return None if found is None else texts

    async def put_config_map(self, body: Raw) -> Raw:
        """PUT a ConfigMap that was read, or POST a new one. Raises KubeError (`conflict`, `exists`) where somebody else
        wrote first."""
        metadata = body["metadata"]
        path = f"/api/v1/namespaces/{metadata['namespace']}/configmaps"
        if "resourceVersion" in metadata:
            return await self._call("PUT", f"{path}/{metadata['name']}", body=body)
        return await self._call("POST", path, body=body)

    async def lease(self, namespace: str, name: str) -> Raw | None:
        """A Lease (coordination.k8s.io/v1), or None."""
        return await self._get(f"{_leases(namespace)}/{name}")

    async def put_lease(self, body: Raw) -> Raw:
        """PUT a Lease that was read, or POST a new one. Raises KubeError (`conflict`, `exists`, `gone`) where somebody
        else was faster."""
        metadata = body["metadata"]
        path = _leases(metadata["namespace"])
        if "resourceVersion" in metadata:
            return await self._call("PUT", f"{path}/{metadata['name']}", body=body)
        return await self._call("POST", path, body=body)

    async def cluster_id(self) -> str:
        """uid of the kube-system namespace: it names the cluster."""
        answer = await self._call("GET", "/api/v1/namespaces/kube-system")
        return str(answer["metadata"]["uid"])

    async def admission_policy(self, name: str) -> tuple[Raw | None, Raw | None]:
        """A ValidatingAdmissionPolicy and the binding of the same name, each None where there is none."""
        base = "/apis/admissionregistration.k8s.io/v1"
        policy, binding = await asyncio.gather(
            self._shared_gets.read(f"{base}/validatingadmissionpolicies/{name}"),
            self._shared_gets.read(f"{base}/validatingadmissionpolicybindings/{name}"),
        )
        return policy, binding

    async def served_kinds(self) -> frozenset[str]:
        """Plurals of our group that the API server serves; empty while the CRDs are missing."""
        found = await self._get(f"/apis/{GROUP}/{VERSION}")
        return frozenset(r["name"] for r in found["resources"]) if found else frozenset()

    async def crd(self, kind: type[Resource]) -> Raw | None:
        """The CustomResourceDefinition of a kind, or None. Raises KubeError."""
        base = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
        return await self._get(f"{base}/{kind.plural}.{GROUP}")

    async def selects(self, kind: type[Resource]) -> bool:
        """Whether the CRD of a kind knows all of its selectable fields: one of an older version may not."""
        if not kind.selectable_fields:
            return True
        asked = ",".join(f"{path}=none" for path in kind.selectable_fields)
        try:
            await self._call("GET", _path(kind.plural, None), query={"limit": "1", "fieldSelector": asked})
        except KubeError as error:
            if error.status == BAD_REQUEST:
                return False
            raise
        return True

    async def _get(self, path: str) -> Raw | None:
        try:
            return await self._call("GET", path)
        except KubeError as error:
            if error.gone:
                return None
            raise

    async def _call(
        self, method: str, path: str, *, query: Mapping[str, str] | None = None, body: Raw | None = None
    ) -> Raw:
        headers = {"Accept": "application/json", "Content-Type": "application/json"}
        if method in {"POST", "PUT"}:
            query = {**(query or {}), "fieldManager": FIELD_MANAGER}
        try:
            method, url, headers, *_ = await self._api.param_serialize(
                method, path, query_params=dict(query or {}), header_params=headers, auth_settings=["BearerToken"]
            )
            # The body is JSON already: the client would walk through all of it to make it so.
            response = await self._api.call_api(method, url, headers, body=body, _request_timeout=REQUEST_TIMEOUT)
            content: bytes = await response.read()  # type: ignore[no-untyped-call]  # as above
        except (aiohttp.ClientError, TimeoutError, OSError, config.ConfigException) as error:  # The latter: no token.
            raise KubeError(0, "Unreachable", f"{method} {path}: {str(error) or repr(error)}") from error
        try:
            answer: Raw = json.loads(content)
        except ValueError as error:
            raise KubeError(response.status, BAD_ANSWER, content[:200].decode(errors="replace")) from error
        if "kind" in answer and (date := _date_of(response.headers.get("Date"))) is not None:
            self.clock_ahead = date - self._clock().replace(microsecond=0)
        if response.status >= 400:
            raise KubeError(response.status, answer.get("reason") or "Error", answer.get("message", ""))
        return answer

    async def who_am_i(self) -> tuple[str, tuple[str, ...]]:
        """Name and groups of the account, as the API server knows it (SelfSubjectReview)."""
        review = {"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"}
        answer = await self._call("POST", "/apis/authentication.k8s.io/v1/selfsubjectreviews", body=review)
        user = answer["status"]["userInfo"]
        return str(user["username"]), tuple(user.get("groups", ()))


def _kubeconfig() -> str | None:
    file = Path(os.environ.get("KUBECONFIG") or "~/.kube/config").expanduser()
    return str(file) if file.exists() else None


def _path(plural: str, namespace: str | None) -> str:
    scope = f"/namespaces/{namespace}" if namespace else ""
    return f"/apis/{GROUP}/{VERSION}{scope}/{plural}"


def _config_map(namespace: str, name: str) -> str:
    return f"/api/v1/namespaces/{namespace}/configmaps/{name}"


def _leases(namespace: str) -> str:
    return f"/apis/coordination.k8s.io/v1/namespaces/{namespace}/leases"


def _attributes(group: str, namespace: str, verb: str, resource: str, name: str) -> dict[str, str]:
    """ResourceAttributes (authorization.k8s.io/v1)."""
    resource, _, subresource = resource.partition("/")
    asked = {"group": group, "namespace": namespace, "verb": verb, "resource": resource, "name": name}
    return asked | ({"subresource": subresource} if subresource else {})


def _object_path(plural: str, body: Raw) -> str:
    return f"{_path(plural, body['metadata']['namespace'])}/{body['metadata']['name']}"


def _date_of(header: str | None) -> datetime | None:
    """The moment that a Date header says (RFC 9110, section 5.6.7), in whole seconds."""
    try:
        moment = parsedate_to_datetime(header) if header else None
    except ValueError:
        return None
    return moment if moment and moment.tzinfo else None


_POD_NAMESPACE = Path("/var/run/secrets/kubernetes.io/serviceaccount/namespace")


def current_namespace() -> str:
    """The namespace of the kubeconfig's context, or the pod's; `default` where neither says one."""
    file = _kubeconfig()
    if file is None:
        return _POD_NAMESPACE.read_text().strip() if _POD_NAMESPACE.exists() else "default"
    try:
        _, context = config.list_kube_config_contexts(file)  # type: ignore[no-untyped-call]  # as above
    except config.ConfigException as error:
        raise KubeError(0, "NoAccount", f"{file}: {error}") from error
    return str((context["context"].get("namespace") if context else None) or "default")
