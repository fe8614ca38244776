# Draws threats by device and over time.
# Build without a network, from a folder `wheels/` that holds vedette and what it needs:
#   docker build -f plot.Dockerfile --build-arg BASE_IMAGE=python:3.11-slim -t vedette/plot CONTEXT
# where CONTEXT has `wheels/`, made by: pip wheel --wheel-dir wheels "vedette[cameras,onnx,tflite]"
ARG BASE_IMAGE=python:3.11-slim
FROM ${BASE_IMAGE}

LABEL org.opencontainers.image.title="vedette/plot" \
      org.opencontainers.image.description="Draws threats by device and over time." \
      org.opencontainers.image.licenses="Apache-2.0"

COPY wheels /tmp/wheels
RUN python -m pip install --no-cache-dir --no-index --find-links /tmp/wheels \
        vedette matplotlib \
 && rm -rf /tmp/wheels \
 && useradd --system --uid 10001 --home-dir /nonexistent --no-create-home vedette \
 && ln -sf sh /bin/ash \
 && code="$(python -c 'from vedette_cameras.runtimes import code_folder; print(code_folder())')" \
 && ln -s "$code" /code

ENV MPLCONFIGDIR=/tmp/matplotlib

USER vedette
CMD ["python", "-m", "vedette.stage", "vedette_cameras.plot.stage:plot"]
