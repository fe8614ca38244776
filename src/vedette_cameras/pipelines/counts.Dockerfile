# Counts threats per device, day and hour.
# Build without a network, from a folder `wheels/` that holds vedette and what it needs:
#   docker build -f counts.Dockerfile --build-arg BASE_IMAGE=python:3.11-slim -t vedette/counts CONTEXT
# where CONTEXT has `wheels/`, made by: pip wheel --wheel-dir wheels "vedette[cameras,onnx,tflite]"
ARG BASE_IMAGE=python:3.11-slim
FROM ${BASE_IMAGE}

LABEL org.opencontainers.image.title="vedette/counts" \
      org.opencontainers.image.description="Counts threats per device, day and hour." \
      org.opencontainers.image.licenses="Apache-2.0"

COPY wheels /tmp/wheels
RUN python -m pip install --no-cache-dir --no-index --find-links /tmp/wheels \
        vedette \
 && rm -rf /tmp/wheels \
 && useradd --system --uid 10001 --home-dir /nonexistent --no-create-home vedette

USER vedette
CMD ["python", "-m", "vedette.stage", "vedette_cameras.plot.stage:counts"]
