# Two steps, which tests go too: dependencies into .venv (`make .venv/run.ok`), then the program.
FROM python:3.11-slim AS build
RUN apt-get update && apt-get install -y --no-install-recommends make && rm -rf /var/lib/apt/lists/*
WORKDIR /srv/parley
COPY Makefile requirements.lock ./
RUN make .venv/run.ok

FROM node:22-slim AS web
WORKDIR /srv/parley/web
COPY web/package.json web/package-lock.json web/.npmrc ./
RUN npm ci --no-audit --no-fund
COPY web .
RUN npm run build

FROM python:3.11-slim
RUN useradd --create-home --uid 10001 parley
WORKDIR /srv/parley
COPY --from=build /srv/parley/.venv .venv
COPY policies policies
COPY parley_client parley_client
COPY app app
COPY docs/protocol.md docs/protocol.md
COPY --from=web /srv/parley/web/dist web/dist
USER parley
ENV PATH=/srv/parley/.venv/bin:$PATH PYTHONUNBUFFERED=1
EXPOSE 8000
HEALTHCHECK --interval=5s --timeout=3s --retries=12 CMD ["python", "-c", "import urllib.request as u; u.urlopen('http://127.0.0.1:8000/livez', timeout=2)"]
ENTRYPOINT ["python", "-m", "app"]
CMD ["all"]
