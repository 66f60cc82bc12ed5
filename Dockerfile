# One image for every command: `serve` by default, `demo --only-services` for the simulated neighbours.

# 3.11 is what the tests run on.
FROM python:3.11-slim AS build
WORKDIR /build
RUN python -m venv /opt/storefront
# The lock first: what it installs stays in the build cache until the lock changes. Wheels only, so no compiler is
# needed; every file is checked against its hash.
COPY deploy/requirements.txt deploy/requirements.txt
RUN /opt/storefront/bin/pip install --no-cache-dir --only-binary :all: --require-hashes --requirement deploy/requirements.txt
# README.md is the package's description. Built by the setuptools of the lock, not by one fetched for the occasion.
COPY pyproject.toml README.md ./
COPY storefront storefront
RUN /opt/storefront/bin/pip install --no-cache-dir --no-deps --no-build-isolation .

FROM python:3.11-slim
# A fixed number, so that a volume keeps its owner from one image to the next. A new volume takes /data's owner.
RUN useradd --system --uid 10001 --user-group --no-create-home --home-dir /data storefront \
 && install --directory --owner storefront --group storefront --mode 0700 /data
COPY --from=build /opt/storefront /opt/storefront
ENV PATH=/opt/storefront/bin:$PATH \
    STOREFRONT_BIND=0.0.0.0:8080 \
    STOREFRONT_DATA_DIR=/data
USER storefront
WORKDIR /data
VOLUME /data
EXPOSE 8080
STOPSIGNAL SIGTERM
# Slim has no curl. No proxy: an engine may be configured to put one into every environment. Whoever sets another
# STOREFRONT_BIND, or TLS, sets another check.
HEALTHCHECK --interval=10s --timeout=5s --start-period=15s --retries=3 \
  CMD ["python", "-c", "from urllib.request import ProxyHandler, build_opener; build_opener(ProxyHandler({})).open('http://127.0.0.1:8080/health/live', timeout=4)"]
ENTRYPOINT ["storefront"]
CMD ["serve"]
