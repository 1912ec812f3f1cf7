# The service alone: app/, model_store/, the shipped weights, and the packages that serving needs.
#   docker build --tag zserve .

FROM python:3.11-slim AS build
# Exact versions need no torch. cpu, cuda or auto installs it, for float versions and GPUs.
ARG TORCH=none
# Compile to byte code here: on a read-only root, packages would be compiled at every start.
ENV UV_COMPILE_BYTECODE=1
COPY requirements/ /build/requirements/
COPY scripts/install.py /build/scripts/install.py
RUN python /build/scripts/install.py serve --torch ${TORCH} --venv /opt/zserve/.venv \
 && /opt/zserve/.venv/bin/uv pip uninstall --quiet --python /opt/zserve/.venv pip uv

FROM python:3.11-slim
LABEL org.opencontainers.image.title="zserve" \
      org.opencontainers.image.description="Samples, reconstructions and latent walks of small VAEs, over HTTP" \
      org.opencontainers.image.licenses="MIT"
RUN useradd --uid 10001 --user-group --no-create-home --shell /usr/sbin/nologin zserve
COPY --from=build /opt/zserve/.venv /opt/zserve/.venv
COPY model_store/ /opt/zserve/model_store/
COPY app/ /opt/zserve/app/
COPY weights/ /opt/zserve/weights/
WORKDIR /opt/zserve
USER 10001:10001
ENV PATH=/opt/zserve/.venv/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    ZSERVE_HOST=0.0.0.0 \
    ZSERVE_PORT=8000
EXPOSE 8000
HEALTHCHECK --interval=5s --timeout=3s --start-period=60s \
    CMD ["python", "-c", "import os, urllib.request as r; r.urlopen('http://127.0.0.1:' + os.environ['ZSERVE_PORT'] + '/healthz', timeout=2)"]
CMD ["python", "-m", "app"]
