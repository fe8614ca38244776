# The server with its applications: `make images STAGES=server`, then `docker compose up`.
ARG BASE_IMAGE=python:3.11-slim
FROM ${BASE_IMAGE}
LABEL org.opencontainers.image.title="vedette/server" \
      org.opencontainers.image.licenses="Apache-2.0"
COPY wheels /wheels
RUN python3 -m pip install --no-cache-dir --no-index --find-links=/wheels 'vedette[cameras,postgres,s3]' \
    && rm -rf /wheels \
    && useradd --system --uid 10001 --home-dir /var/lib/vedette --create-home vedette
USER 10001
VOLUME /var/lib/vedette
EXPOSE 7650
STOPSIGNAL SIGTERM
ENTRYPOINT ["vedette"]
CMD ["serve", "--data", "/var/lib/vedette", "--listen", "0.0.0.0:7650"]
