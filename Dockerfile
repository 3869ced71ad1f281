# The program `escrow` with exactly the pinned packages, run by a user without rights. It writes nothing to its own
# file system: run it read-only (`docker run --read-only --tmpfs /tmp --cap-drop ALL`).

FROM python:3.13-slim AS build
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1
RUN python -m venv /opt/escrow
WORKDIR /src
COPY requirements/ requirements/
RUN /opt/escrow/bin/pip install --require-hashes -r requirements/runtime.txt
COPY . .
RUN /opt/escrow/bin/pip install --no-deps --no-build-isolation --no-index .

FROM python:3.13-slim
# /var/lib/escrow is the gateway simulator's; mount a volume there.
RUN useradd --system --uid 10001 --create-home escrow && install -d -o escrow -g escrow -m 700 /var/lib/escrow
COPY --from=build /opt/escrow /opt/escrow
ENV PATH=/opt/escrow/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
USER escrow
WORKDIR /home/escrow
ENTRYPOINT ["escrow"]
CMD ["--help"]
