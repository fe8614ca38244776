# The server with its applications: `make images STAGES=server`, then `docker compose up`.
# BASE_IMAGE: any with Python 3.11 or later as `python3`, its venv module, and useradd (on Debian: python3-venv).
ARG BASE_IMAGE=python:3.11-slim

# An environment of its own, since a distribution's Python takes no packages besides its own;
# made in a stage of its own, so that the wheels are in no layer of the image.
FROM ${BASE_IMAGE} AS build
COPY wheels /wheels
RUN python3 -m venv /opt/vedette \
    && /opt/vedette/bin/pip install --no-cache-dir --no-index --find-links=/wheels 'vedette[cameras,postgres,s3]'

FROM ${BASE_IMAGE}
LABEL org.opencontainers.image.title="vedette/server" \
      org.opencontainers.image.licenses="Apache-2.0"
COPY --from=build /opt/vedette /opt/vedette
ENV PATH=/opt/vedette/bin:${PATH}
RUN useradd --system --uid 10001 --home-dir /var/lib/vedette --create-home vedette
USER 10001
VOLUME /var/lib/vedette
EXPOSE 7650
STOPSIGNAL SIGTERM
ENTRYPOINT ["vedette"]
CMD ["serve", "--data", "/var/lib/vedette", "--listen", "0.0.0.0:7650"]
