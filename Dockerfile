# docker build -t dash-repro . && docker run --rm -it dash-repro
# A GPU: docker build --build-arg TORCH=cuda -t dash-repro . && docker run --rm -it --gpus all dash-repro bash
# Build from a clone that has its .git folder, for records name the commit. We built it with buildah, on Debian bookworm with CPython 3.13 in
# place of the base image, and `make demo` ran in it.
FROM python:3.13-slim-bookworm
ARG TORCH=cpu
RUN apt-get update && apt-get install -y --no-install-recommends git make latexmk texlive-latex-extra texlive-fonts-recommended lmodern poppler-utils && rm -rf /var/lib/apt/lists/*
COPY . /opt/dash-repro
WORKDIR /opt/dash-repro
RUN git config --system --add safe.directory '*' && make setup TORCH=$TORCH
ENV PATH=/opt/dash-repro/.venv/bin:$PATH
CMD ["make", "demo"]
