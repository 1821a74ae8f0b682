# The operator's image: an interpreter, the libraries that it loads, and the operator. No shell, no package manager.

# Any Debian with python3 and its pip. `make image` builds on one that it makes of Debian's own packages.
ARG BASE=python:3.11.16-slim-bookworm@sha256:a36c24f9cbdf4fd0f52d67f0823eeac19c2028c637cecc392d97f980d4fec56b

FROM ${BASE} AS build
# When the image is from, in seconds since 1970: the same sources give the same files.
ARG SOURCE_DATE_EPOCH=0
COPY image/runtime.lock /build/
# Behind a proxy with a certificate of its own: --secret id=certificates,src=<all that are trusted, as PEM>
RUN --mount=type=secret,id=certificates \
    if [ -e /run/secrets/certificates ]; then export PIP_CERT=/run/secrets/certificates; fi; \
    python3 -m pip install --no-cache-dir --no-compile --only-binary :all: --require-hashes \
    --target /opt/bokgu --requirement /build/runtime.lock
COPY LICENSE operator /opt/bokgu/
COPY image/root.py /build/
RUN PYTHONHASHSEED=0 python3 -B /build/root.py /opt/bokgu /build/root

FROM scratch
COPY --from=build /build/root /
ENV PATH=/usr/local/bin:/usr/bin \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONPATH=/opt/bokgu \
    PYTHONSAFEPATH=1
USER 65532:65532
EXPOSE 8080 8081
ENTRYPOINT ["python3", "-m", "bokgu"]
CMD ["run"]
ARG VERSION=0.1.0
ARG REVISION=unknown
LABEL org.opencontainers.image.title="bokgu" \
      org.opencontainers.image.description="Detects, plans and recovers incidents on Amazon ECS, with approvals through Git" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"
