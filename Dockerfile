# The service alone: app/, model_store/, the shipped weights, and the packages that serving needs.
#   docker build --tag zserve .
#   docker build --tag zserve:cuda --build-arg TORCH=cuda .
# docker/README.md says what each layer weighs, and how to build for several architectures.

FROM python:3.11-slim AS build
# Exact versions need no torch. cpu, cuda or auto installs it, for float versions and GPUs.
ARG TORCH=none
# Compile to byte code here: on a read-only root, modules would be compiled at every start.
ENV UV_COMPILE_BYTECODE=1 \
    PYC_INVALIDATION_MODE=UNCHECKED_HASH
COPY requirements/ /build/requirements/
COPY scripts/install.py /build/scripts/install.py
COPY docker/slim.py /build/docker/slim.py
RUN python /build/scripts/install.py serve --torch ${TORCH} --venv /opt/zserve/.venv \
 && /opt/zserve/.venv/bin/uv pip install --quiet --python /opt/zserve/.venv --no-deps \
    --constraint /build/requirements/dev.txt obstore \
 && /opt/zserve/.venv/bin/uv pip uninstall --quiet --python /opt/zserve/.venv pip setuptools uv \
 && python /build/docker/slim.py /opt/zserve/.venv
COPY docker/healthcheck.py /opt/zserve/
COPY model_store/ /opt/zserve/model_store/
COPY app/ /opt/zserve/app/
RUN python -m compileall -q --invalidation-mode unchecked-hash /opt/zserve/app /opt/zserve/model_store

FROM python:3.11-slim
LABEL org.opencontainers.image.title="zserve" \
      org.opencontainers.image.description="Samples, reconstructions and latent walks of small VAEs, over HTTP" \
      org.opencontainers.image.licenses="MIT"
# The folder is for copies of an object store; mount a volume there, which then belongs to this user.
RUN useradd --uid 10001 --user-group --no-create-home --shell /usr/sbin/nologin zserve \
 && install --directory --owner zserve --group zserve /var/cache/zserve
# What changes least comes first.
COPY --from=build /opt/zserve/.venv /opt/zserve/.venv
COPY weights/ /opt/zserve/weights/
COPY --from=build /opt/zserve/healthcheck.py /opt/zserve/
COPY --from=build /opt/zserve/model_store /opt/zserve/model_store
COPY --from=build /opt/zserve/app /opt/zserve/app
WORKDIR /opt/zserve
USER 10001:10001
ENV PATH=/opt/zserve/.venv/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    XDG_CACHE_HOME=/var/cache \
    ZSERVE_HOST=0.0.0.0 \
    ZSERVE_PORT=8000
EXPOSE 8000
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=5s --timeout=3s --start-period=60s \
    CMD ["python", "-I", "-S", "/opt/zserve/healthcheck.py"]
CMD ["python", "-m", "app"]
