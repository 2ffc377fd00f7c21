FROM python:3.11-slim
RUN useradd --create-home parley
WORKDIR /srv/parley
COPY requirements.lock .
RUN pip install --no-cache-dir --require-hashes --no-deps -r requirements.lock
COPY app app
COPY policies policies
USER parley
EXPOSE 8000
ENTRYPOINT ["python", "-m", "app"]
CMD ["all"]
