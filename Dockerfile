# The segmenter that Label Studio asks for masks (docker-compose.yml).
FROM python:3.11-slim

RUN apt-get update \
    && apt-get install -y --no-install-recommends libgl1 libglib2.0-0 \
    && rm -rf /var/lib/apt/lists/*

WORKDIR /app
COPY pyproject.toml constraints.txt README.md LICENSE ./
COPY avis_data avis_data
COPY pipelines pipelines
COPY annotation annotation
COPY training training
COPY schemas schemas
COPY manifests manifests
RUN pip install --no-cache-dir -c constraints.txt '.[annotate]'

# Nothing runs as root. The folder of the cache is made here so that a new volume over it can be written by every user.
RUN useradd --uid 1000 avis && mkdir -p /workspace/label-studio/embeddings && chmod 1777 /workspace/label-studio/embeddings
ENV HOME=/tmp
USER 1000:1000

EXPOSE 9090
ENTRYPOINT ["python", "-m", "avis_data.annotation.serve.segmenter"]
